"""The gateway: every call of a model is authorized, run, measured, recorded durably, and only then answered.

The price is the endpoint's published list applied to what the gateway itself measured; the model's word is not
taken for it. A call that fails is recorded and costs nothing.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import soundfile

from audiera.protocol.accesses.rows import FLAG_FAILED, OP_CALL
from audiera.protocol.errors import Conflict, NotFound
from audiera.protocol.machine import call_charge
from audiera.protocol.records import Endpoint, Model
from audiera.protocol.rights import Decision
from audiera.services.access import Ask, Gate, Meter, Recorded, Refusals, Session
from audiera.services.access.gate import refuse
from audiera.services.ledger.ports import Ledger
from audiera.services.models.ports import CallAnswer, CallRequest, ModelError
from audiera.services.models.registry import Registry

LONGEST_AUDIO_S = 600
"""Audio a single call may bring or take, seconds; bounds what is reserved for it."""

_CALLS_AT_ONCE = 4


class Called(NamedTuple):
    """A call that succeeded and is recorded."""

    answer: CallAnswer
    """What the model sent back."""

    recorded: Recorded
    """The durable row."""

    audio_seconds: int
    """Started seconds of audio, in and out."""

    price: int
    """Microcredits it costs."""

    price_version: int
    """Version of the price list."""


class Gateway:
    """Serves models.

    Args:
        registry: which models, and what runs them.
        ledger: models, endpoints and prices.
        gate: decides and reserves.
        meter: records.
        refusals: records what was refused.
        node: ledger number of this node.
    """

    def __init__(
        self, registry: Registry, ledger: Ledger, gate: Gate, meter: Meter, refusals: Refusals, *, node: int
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._gate = gate
        self._meter = meter
        self._refusals = refusals
        self._node = node
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="model")

    async def call(self, session: Session, model_number: int, request: CallRequest, *, name: str = "") -> Called:
        """Answer a call.

        Args:
            session: the open session the call belongs to.
            model_number: ledger number of the model.
            request: what was sent.
            name: the caller's name for the call; the same name twice is refused, never charged twice.

        Raises:
            AccessRefused: the decision was no; the refusal is recorded.
            NotFound: there is no such model, or it is not served here.
            ModelError: the model failed; recorded, not billed.
            Conflict: a call of this name was answered before.
        """
        model, endpoint = self._find(model_number)
        runner = self._registry.runner(model)
        if name and self._meter.answered(session.number, name) is not None:
            raise Conflict("a call of this name was answered and charged before", code="call_repeated")
        heard = audio_seconds(request.body, request.media_type)
        most = _most_seconds(endpoint, heard)
        ask = Ask(model.number, OP_CALL, 0, most)
        decision = self._gate.authorize(session, ask)
        if isinstance(decision, Decision):
            await self._refusals.record(self._gate.row(session, ask, 0), decision.reasons)
            raise refuse(decision)
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, runner.run, request)
        except ModelError:
            await self._meter.record(decision.fields._replace(units=heard, flags=FLAG_FAILED), request=name)
            raise
        seconds = min(most, heard + audio_seconds(answer.body, answer.media_type))
        fields = decision.fields._replace(units=seconds, bytes=len(answer.body))
        recorded = await self._meter.record(fields, request=name)
        price = call_charge(endpoint.price, 1, seconds)
        return Called(answer, recorded, seconds, price, endpoint.price.version)

    def _find(self, number: int) -> tuple[Model, Endpoint]:
        view = self._ledger.state()
        model, endpoint = view.model(number), view.endpoint(number)
        if model is None:
            raise NotFound(f"there is no model {number}", code="unknown_object")
        if endpoint is None or endpoint.node != self._node:
            raise NotFound(f"model {number} is not offered by this node", code="model_not_here")
        return model, endpoint

    def close(self) -> None:
        """Finish calls at work."""
        self._threads.shutdown(wait=True)


def _most_seconds(endpoint: Endpoint, heard: int) -> int:
    """The audio a call is reserved for: all a call may have, when audio is priced at all."""
    return heard + LONGEST_AUDIO_S if endpoint.price.per_audio_second else max(heard, LONGEST_AUDIO_S)


def audio_seconds(body: bytes, media_type: str) -> int:
    """Started seconds of audio in a body, by its decoded length; 0 for what is not audio.

    Raises:
        ModelError: it claims to be audio and cannot be read, or is longer than a call may have.
    """
    if not media_type.startswith("audio/") or media_type == "audio/midi":
        return 0
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as sound:
            seconds = int(-(-sound.frames // max(sound.samplerate, 1)))
    except (soundfile.SoundFileError, ValueError, TypeError) as cause:
        raise ModelError(f"the {media_type} body cannot be read as sound: {cause}", code="audio_unreadable") from cause
    if seconds > LONGEST_AUDIO_S:
        raise ModelError(f"a call has at most {LONGEST_AUDIO_S} s of audio, got {seconds}", code="audio_too_long")
    return seconds
