"""``audiera model``: register, publish, call."""

import mimetypes
from pathlib import Path

import click

from audiera.cli.options import CREDITS, JSON, URL, WHO, as_account, as_visitor, check_place
from audiera.cli.output import Output, counted, credits_text, moment_text, numbers_text, size_text
from audiera.protocol.api.models import ModelAnswer
from audiera.protocol.records import BaseModel, CallPrice, Interface
from audiera.protocol.transactions import PublishEndpoint, RegisterModel
from audiera.sdk.client import Client, connect
from audiera.sdk.models import CallAnswer
from audiera.sdk.transport import Transport


@click.group()
def model() -> None:
    """Models: registered with the lineage the ledger certifies, published as services, called and paid."""


@model.command()
@click.option("--name", required=True, help="A slug: a-z 0-9 - . _")
@click.option("--version", required=True, help="A slug.")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="Its weights."
)
@click.option("--architecture", default="", help="What runs it: onnx or audiera-texture-1; guessed from its ending.")
@click.option("--run", "runs", type=int, multiple=True, help="A closed training run; repeatable.")
@click.option("--base", "bases", multiple=True, metavar="MODEL:SHARE", help="A base model and its basis points.")
@click.option("--training-share", type=click.IntRange(0, 10_000), default=0, help="Basis points for training data.")
@click.option("--task", default="generation", show_default=True, help="What it does, in a word.")
@click.option(
    "--accepts",
    multiple=True,
    default=("application/octet-stream",),
    show_default=True,
    help="Media type it takes; repeatable.",
)
@click.option(
    "--returns", multiple=True, default=("audio/wav",), show_default=True, help="Media type it gives; repeatable."
)
@click.option("--undisclosed-data", is_flag=True, help="It was also trained on data not recorded here.")
@as_account
def register(
    client: Client,
    output: Output,
    name: str,
    version: str,
    file: Path,
    architecture: str,
    runs: tuple[int, ...],
    bases: tuple[str, ...],
    training_share: int,
    task: str,
    accepts: tuple[str, ...],
    returns: tuple[str, ...],
    undisclosed_data: bool,
) -> None:
    """Store a model's file at the node and register it with its lineage."""
    kind = architecture or ("audiera-texture-1" if file.suffix == ".safetensors" else "onnx")
    weights = client.add_package(kind, file.read_bytes(), name=file.name)
    number = client.register_model(
        RegisterModel(
            name=name,
            version=version,
            weights=weights,
            runs=tuple(sorted(set(runs))),
            training_share=training_share,
            interface=Interface(task=task, accepts=accepts, returns=returns),
            base_models=tuple(map(_base, bases)),
            undisclosed_data=undisclosed_data,
        )
    )
    output.give({"model": number}, f"model {number}")
    output.hint(f"offer it with: audiera model publish {number} --price 0.01")


def _base(text: str) -> BaseModel:
    number, _, share = text.partition(":")
    if not number.isdecimal() or not share.isdecimal():
        raise click.BadParameter(f"MODEL:SHARE such as 12:500 expected, got {text!r}")
    return BaseModel(model=int(number), share=int(share))


@model.command()
@click.argument("number", type=int)
@click.option("--price", type=CREDITS, required=True, help="Credits for each call that succeeds.")
@click.option("--per-second", type=CREDITS, default="0", help="Credits for each started second of audio, in and out.")
@click.option("--price-version", type=int, default=1, show_default=True, help="Raise it when the price changes.")
@click.option("--endpoint", default="", help="Where calls go; the node runs the stored file itself when not given.")
@as_account
def publish(
    client: Client, output: Output, number: int, price: int, per_second: int, price_version: int, endpoint: str
) -> None:
    """Offer a model as a service through the node."""
    prices = CallPrice(version=price_version, per_call=price, per_audio_second=per_second)
    client.publish_endpoint(PublishEndpoint(model=number, node=client.node().account, price=prices), url=endpoint)
    output.give({"model": number}, f"model {number} takes calls, at {call_price_text(prices)}")
    output.hint(f"call it with: audiera model call {number}")


@model.command()
@click.argument("number", type=int)
@as_visitor
def show(client: Client, output: Output, number: int) -> None:
    """Show a model, what a call costs, and what it was trained on."""
    answer = client.model(number)
    record, endpoint = answer.model, answer.endpoint
    interface = record.interface
    output.facts(
        answer,
        {
            "model": number,
            "name": f"{record.name} {record.version}",
            "developer": f"account {record.developer}",
            "task": interface.task if interface is not None else "",
            "takes": ", ".join(interface.accepts) if interface is not None else "",
            "gives": ", ".join(interface.returns) if interface is not None else "",
            "trained on": _trained_on(answer),
            "base models": ", ".join(f"{base.model} ({base.share / 100:g} %)" for base in record.base_models),
            "training data gets": f"{record.training_share / 100:g} % of each call",
            "price": "not offered" if endpoint is None or not endpoint.active else call_price_text(endpoint.price),
            "registered": moment_text(record.registered_at),
        },
    )


def call_price_text(price: CallPrice) -> str:
    """What a call costs, in words."""
    each = f" and {credits_text(price.per_audio_second)} a second of audio" if price.per_audio_second else ""
    return f"{credits_text(price.per_call)} credits a call{each}"


def _trained_on(answer: ModelAnswer) -> str:
    record = answer.model
    runs = f"{counted(answer.assets, 'asset')} in {'run' if len(record.runs) == 1 else 'runs'} "
    recorded = runs + numbers_text(record.runs) if record.runs else "nothing that is recorded here"
    return recorded + (", and other data that is not recorded here" if record.undisclosed_data else "")


@model.command()
@click.argument("number", type=int)
@as_account
def settle(client: Client, output: Output, number: int) -> None:
    """Divide what a model's calls earned for its training data, and pay every recording its part; anyone may."""
    settlement = client.settle(number)
    paid = client.claim_settlement(settlement)
    record = client.settlement(settlement).settlement
    output.give(
        {"settlement": settlement, "amount": record.amount, "paid": record.paid, "assets": paid},
        f"settlement {settlement}: {credits_text(record.amount)} credits divided among {paid} assets, "
        f"{credits_text(record.paid)} paid out",
    )


@model.command()
@click.argument("number", type=int)
@click.option("--input", "body", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What is sent.")
@click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")
@click.option("--budget", type=CREDITS, default="1", show_default=True, help="Most the call may cost.")
@click.option("--api-key", envvar="AUDIERA_API_KEY", default="", help="An application's key [AUDIERA_API_KEY].")
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the answer goes; call-NODE-INDEX when not given.",
)
@URL
@WHO
@JSON
def call(
    number: int,
    body: Path | None,
    parameters: tuple[str, ...],
    budget: int,
    api_key: str,
    file: Path | None,
    url: str,
    who: str,
    is_json: bool,
) -> None:
    """Call a model; recorded before the answer leaves, billed only when it succeeds."""
    check_place(file)
    named = dict(map(_parameter, parameters))
    sent = body.read_bytes() if body is not None else b""
    media_type = (mimetypes.guess_type(body.name)[0] if body is not None else None) or "application/octet-stream"
    if api_key:
        with Client(Transport(url, api_key=api_key)) as client:
            answer = client.call_model(None, number, sent, media_type=media_type, **named)
    else:
        with connect(url, name=who) as client, client.open_model(number, budget=budget) as session:
            answer = client.call_model(session, number, sent, media_type=media_type, **named)
    _tell(Output(is_json=is_json), answer, file)


_ENDINGS = {"audio/wav": ".wav", "audio/x-wav": ".wav", "audio/flac": ".flac", "audio/ogg": ".ogg"}


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"a parameter is NAME=VALUE, got {text!r}")
    return name, value


def _tell(output: Output, answer: CallAnswer, file: Path | None) -> None:
    ending = _ENDINGS.get(answer.media_type) or mimetypes.guess_extension(answer.media_type) or ".bin"
    where = file or Path(f"call-{answer.node}-{answer.index}{ending}")
    where.write_bytes(answer.body)
    output.give(
        {
            "file": str(where),
            "media_type": answer.media_type,
            "bytes": len(answer.body),
            "price": answer.price,
            "node": answer.node,
            "index": answer.index,
        },
        f"{where}  {answer.media_type}, {size_text(len(answer.body))}, {credits_text(answer.price)} credits, "
        f"record {answer.node}/{answer.index}",
    )
