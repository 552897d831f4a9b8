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
from audiera.services.access import Ask, Authorization, Gate, Meter, Recorded, Refusals, Session
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
        self._at_work: set[tuple[int, str]] = set()
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
            ModelError: the model failed, or its answer is longer than the budget pays; recorded, not billed.
            Conflict: a call of this name was answered before.
        """
        model, endpoint = self._find(model_number)
        if self._registry.deployment(model.number) is None:
            raise NotFound(f"model {model.number} is not served by this node", code="model_not_here")
        place = (session.number, name)
        if name and (place in self._at_work or self._meter.answered(*place) is not None):
            raise Conflict("a call of this name is at work, or was answered and charged before", code="call_repeated")
        _require_accepted(model, request.media_type)
        heard = audio_seconds(request.body, request.media_type)
        ask = Ask(model.number, OP_CALL, 0, heard + self._affordable(session, endpoint, heard))
        call = self._gate.authorize(session, ask)
        if isinstance(call, Decision):
            await self._refusals.record(self._gate.row(session, ask, 0), call.reasons)
            raise refuse(call)
        self._at_work.add(place)
        try:
            answer, seconds = await self._run(model, call, request, heard)
            price = call_charge(endpoint.price, 1, seconds)
            fields = call.fields._replace(units=seconds, bytes=len(answer.body))
            self._gate.finish(call, fields, price)
            recorded = await self._meter.record(fields, request=name)
        finally:
            self._at_work.discard(place)
        return Called(answer, recorded, seconds, price, endpoint.price.version)

    async def _run(self, model: Model, call: Authorization, request: CallRequest, heard: int) -> tuple[CallAnswer, int]:
        """The answer and its started seconds of audio, in and out; however a call fails, that is recorded."""
        is_answered = False
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, model, request)
            seconds = heard + audio_seconds(answer.body, answer.media_type)
            if seconds > call.fields.units:
                raise ModelError(
                    f"the call came to {seconds} s of audio and the budget covers {call.fields.units}; it was not "
                    "delivered and costs nothing; raise the budget, or ask for less",
                    code="budget_too_small",
                )
            is_answered = True
        finally:
            if not is_answered:
                failed = call.fields._replace(units=heard, flags=FLAG_FAILED)
                self._gate.finish(call, failed, 0)
                await self._meter.record(failed)
        return answer, seconds

    def _affordable(self, session: Session, endpoint: Endpoint, heard: int) -> int:
        """Seconds of audio an answer may have: as many as the budget still pays, so that small ones can call too."""
        price = endpoint.price
        if not price.per_audio_second:
            return LONGEST_AUDIO_S
        seconds = (self._gate.spare(session) - call_charge(price, 1, heard)) // price.per_audio_second
        return min(max(seconds, 1), LONGEST_AUDIO_S)

    def _answer(self, model: Model, request: CallRequest) -> CallAnswer:
        return self._registry.runner(model).run(request)

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


def _require_accepted(model: Model, media_type: str) -> None:
    """Refuse a body of a kind the model does not take: sound under another name would not be measured.

    Raises:
        ModelError: what it takes.
    """
    accepts = model.interface.accepts if model.interface is not None else ()
    if accepts and media_type not in accepts:
        raise ModelError(
            f"model {model.number} takes {', '.join(accepts)}, got {media_type[:60]!r}", code="media_type_not_accepted"
        )


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
