"""The demo's order of events. Each scene is an account doing something over HTTP, then what came of it."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from audiera.cli.demo.acts import Acts
from audiera.cli.demo.music import find_music
from audiera.cli.demo.process import running_node
from audiera.cli.demo.show import Show


def play(music: Path | None, *, keep: bool, pieces: int) -> None:
    """Play the demo.

    Args:
        music: a person's folder of music; None for the demo's own.
        keep: whether to stay up at the end.
        pieces: how many pieces are used.

    Raises:
        AudieraError: a step of it failed.
    """
    began = time.monotonic()
    show = Show()
    with _ending_as_by_ctrl_c(), tempfile.TemporaryDirectory(prefix="audiera-demo-") as name:
        folder = Path(name)
        found = find_music(music, pieces, folder / "music")
        show.say(f"The music: {found.source}.")
        with running_node(folder / "node") as ready:
            show.say(f"A node of chain {ready.chain_id} runs at {ready.address}; its ledger is in a temporary folder.")
            with closing(Acts(ready, show, folder)) as acts:
                acts.arrive()
                acts.offer(found)
                acts.search()
                acts.refuse()
                acts.license_and_train()
                acts.publish()
                acts.call()
                acts.settle()
                acts.show_history()
                acts.show_trail()
                acts.show_payouts()
                acts.prove()
            show.say(f"\nThat was the whole trail, in {time.monotonic() - began:.0f} seconds.")
            if keep:
                _wait(show, ready.address)
    if keep:
        show.say("\nThe node has ended, and nothing of it is left.")


@contextmanager
def _ending_as_by_ctrl_c() -> Iterator[None]:
    """While this lasts, being told to end (SIGTERM) is the same as Ctrl-C: the node ends, the folder goes."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(show: Show, address: str) -> None:
    show.say(f"\nThe node stays up at {address} (API: {address}/docs). Ctrl-C ends it.")
    show.say(f"Look around in another terminal:  audiera search --url {address}")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
