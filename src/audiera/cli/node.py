"""``audiera node``: run a node."""

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from audiera.cli.options import JSON
from audiera.cli.output import Output
from audiera.node.config import load_settings, table

if TYPE_CHECKING:
    from audiera.node.serve import Ready


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """An option for every setting; what is not given comes from the environment, the file, the default."""
    for row in reversed(table()):
        default = f"default {row.default}" if row.default else ""
        about = "; ".join(part for part in (row.unit, default) if part)
        text = f"{row.help[0].upper()}{row.help[1:]}" + (f" ({about})" if about else "") + f" [{row.variable}]."
        name = "--" + row.name.replace("_", "-")
        function = click.option(name, row.name, default=None, metavar=row.kind.upper(), help=text)(function)
    return function


@click.command()
@_options
@JSON
def node(is_json: bool, **given: str | None) -> None:
    """Run a node until Ctrl-C: catalog, gate, ledger and model gateway in one process.

    Everything it keeps is in one folder. Settings come from these options, from the environment, or from
    audiera.toml in that folder.
    """
    settings = load_settings(environment=os.environ, given=given)
    from audiera.node.serve import serve  # heavy, and help and wrong settings do not need it

    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s %(message)s"
    )
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel("WARNING")

    def tell(ready: "Ready") -> None:
        Output(is_json=is_json).give(
            ready, f"node of chain {ready.chain_id} at {ready.address}  (API: {ready.address}/docs; Ctrl-C ends it)"
        )

    serve(settings, on_ready=tell)
