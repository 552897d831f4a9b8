"""The gateway: no answer before its row, no charge but for what was measured, and no failure without a record."""

import asyncio
import io
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiera.protocol.accesses.rows import FLAG_FAILED, OP_CALL, OP_REFUSAL
from audiera.protocol.errors import AccessRefused, Conflict, NotFound, StorageError, Unavailable
from audiera.protocol.machine import call_charge, grant_purse
from audiera.protocol.records import CallPrice
from audiera.protocol.transactions import PublishEndpoint, RevokeGrant
from audiera.services.access import Session
from audiera.services.models import CallAnswer, Called, CallRequest, Deployment, Gateway, ModelError, Registry, Runner
from audiera.services.models.gateway import LONGEST_AUDIO_S, audio_seconds
from audiera.services.storage.documents import open_documents
from tests.services.access.house import House, Rooms, house_in
from tests.services.ledger.actors import ANSWER_S, Actor


def sound(seconds: float, rate: int = 8_000) -> bytes:
    """A WAV of noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, int(seconds * rate))
    soundfile.write(buffer, noise, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


class Given:
    """A runner that does what the test says, waiting when it is told to."""

    def __init__(self, does: Callable[[CallRequest], CallAnswer]) -> None:
        self.does = does
        self.calls = 0
        self._lock = threading.Lock()
        self._go = threading.Event()
        self._go.set()
        self._reached = threading.Event()

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, ANSWER_S)

    def run(self, request: CallRequest) -> CallAnswer:
        with self._lock:
            self.calls += 1
        self._reached.set()
        assert self._go.wait(ANSWER_S)
        return self.does(request)

    def close(self) -> None:
        self._go.set()


class GivenRegistry(Registry):
    """The real registry, but for the runner."""

    given: Runner

    def runner(self, _: object) -> Runner:
        return self.given


class Desk:
    """A house with a model on offer, a grant to call it, and a gateway in front of it."""

    def __init__(self, house: House, *, budget: int = 100_000, per_call: int = 10, per_second: int = 3) -> None:
        house.fund(house.lab, 1_000_000)
        self.house = house
        self.model = house.model(per_call=per_call, per_second=per_second)
        self.grant = house.call_grant(house.lab, self.model, budget)
        self.rooms: Rooms = house.rooms()
        self.session: Session = self.rooms.session(house.lab, self.grant, purpose="call-model")
        self.documents = open_documents(house.folder / "documents.sqlite")
        allowed = ("127.0.0.1:9",)
        self.registry = GivenRegistry(
            house.folder / "models.sqlite", house.blobs, self.documents, allowed_local=allowed
        )
        self.runner = Given(lambda _: CallAnswer(sound(1.5), "audio/wav"))
        self.registry.given = self.runner
        self.serve(self.model)
        rooms = self.rooms
        self.gateway = Gateway(
            self.registry, house.ledger, rooms.gate, rooms.meter, rooms.refusals, node=house.node.number
        )

    def serve(self, model: int) -> None:
        record = self.house.ledger.state().model(model)
        assert record is not None
        self.registry.deploy(record, Deployment(model=model, kind="http", url="http://127.0.0.1:9/"))

    async def call(self, body: bytes = b"", media_type: str = "application/json", *, name: str = "") -> Called:
        return await self.gateway.call(self.session, self.model, CallRequest(body, media_type, {}), name=name)

    def spent(self) -> int:
        """What the ledger has charged, once everything is on it."""

        async def flush() -> None:
            async with self.rooms.sealing():
                await self.rooms.sealer.flush()

        asyncio.run(flush())
        assert self.rooms.gate._tallies.of(self.grant).charges == 0
        return self.house.ledger.state().grant_usage(self.grant).spent

    def close(self) -> None:
        self.runner.close()
        self.gateway.close()
        self.registry.close()
        self.documents.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    desk = Desk(house)
    yield desk
    desk.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_a_call_costs_what_was_measured_and_no_more(desk: Desk) -> None:
    called: Called = run(desk.call(sound(0.2), "audio/wav"))
    assert called.answer == CallAnswer(sound(1.5), "audio/wav")
    assert called.audio_seconds == 1 + 2  # each sound's started seconds
    price = CallPrice(version=1, per_call=10, per_audio_second=3)
    assert (called.price, called.price_version) == (call_charge(price, 1, 3), 1) == (19, 1)
    row = desk.rooms.row_of(called.recorded)
    assert (row.op, row.asset, row.units, row.bytes, row.flags) == (OP_CALL, desk.model, 3, len(sound(1.5)), 0)
    assert desk.spent() == 19
    assert desk.house.ledger.state().balance(grant_purse(desk.grant)) == 100_000 - 19


def test_what_is_no_audio_costs_the_call_alone(desk: Desk) -> None:
    desk.runner.does = lambda request: CallAnswer(request.body * 2, "application/json")
    called: Called = run(desk.call(b"{}"))
    assert (called.answer.body, called.audio_seconds, called.price) == (b"{}{}", 0, 10)
    assert desk.spent() == 10


def test_no_answer_leaves_before_its_row_is_durable(desk: Desk) -> None:
    async def work() -> None:
        desk.rooms.file.hold()
        waiting = asyncio.create_task(desk.call())
        await desk.rooms.file.reached()
        assert desk.runner.calls == 1
        assert not waiting.done()
        desk.rooms.file.release()
        assert (await waiting).recorded.index == 0

    run(work())


def test_no_answer_leaves_when_it_cannot_be_recorded(desk: Desk) -> None:
    desk.rooms.file.fault = StorageError("the disk is gone")
    with pytest.raises(Unavailable):
        run(desk.call())
    assert desk.rooms.durable() == []


def failing(_: CallRequest) -> CallAnswer:
    raise ModelError("no luck", code="model_failed")


def crashing(_: CallRequest) -> CallAnswer:
    raise ZeroDivisionError("a fault of the runner")


def noise(_: CallRequest) -> CallAnswer:
    return CallAnswer(b"not a sound", "audio/wav")


def endless(_: CallRequest) -> CallAnswer:
    return CallAnswer(sound(LONGEST_AUDIO_S + 1, rate=8), "audio/wav")


@pytest.mark.parametrize(
    ("does", "error", "code"),
    [
        (failing, ModelError, "model_failed"),
        (crashing, ZeroDivisionError, ""),
        (noise, ModelError, "audio_unreadable"),
        (endless, ModelError, "audio_too_long"),
    ],
)
def test_a_failed_call_is_recorded_and_not_billed(
    desk: Desk, does: Callable[[CallRequest], CallAnswer], error: type[Exception], code: str
) -> None:
    desk.runner.does = does
    with pytest.raises(error) as failed:
        run(desk.call(sound(2), "audio/wav", name="n"))
    assert getattr(failed.value, "code", "") == code
    (row,) = desk.rooms.durable()
    assert (row.op, row.flags, row.units, row.bytes, row.asset) == (OP_CALL, FLAG_FAILED, 2, 0, desk.model)
    assert desk.spent() == 0
    assert desk.rooms.gate._tallies.of(desk.grant).accesses == 0


def test_a_failed_call_may_be_repeated_under_its_name(desk: Desk) -> None:
    works, desk.runner.does = desk.runner.does, failing
    with pytest.raises(ModelError):
        run(desk.call(name="n"))
    desk.runner.does = works
    assert run(desk.call(name="n")).price == 16
    assert desk.spent() == 16


def test_a_caller_that_goes_away_is_recorded_and_not_billed(desk: Desk) -> None:
    async def work() -> None:
        desk.runner.hold()
        waiting = asyncio.create_task(desk.call(name="n"))
        await desk.runner.reached()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        desk.runner.release()
        assert (await desk.call(name="n")).price == 16

    run(work())
    assert [row.flags for row in desk.rooms.durable()] == [FLAG_FAILED, 0]
    assert desk.spent() == 16


def test_a_name_repeated_is_refused_and_not_charged_twice(desk: Desk) -> None:
    run(desk.call(name="n"))
    with pytest.raises(Conflict) as refused:
        run(desk.call(name="n"))
    assert refused.value.code == "call_repeated"
    assert run(desk.call(name="m")).recorded.index == 1
    assert desk.runner.calls == 2
    assert desk.spent() == 32


def test_a_name_repeated_while_its_call_is_at_work_is_refused(desk: Desk) -> None:
    """Both would be answered, and one of them charged."""

    async def work() -> None:
        desk.runner.hold()
        first = asyncio.create_task(desk.call(name="n"))
        await desk.runner.reached()
        for _ in range(3):
            with pytest.raises(Conflict):
                await desk.call(name="n")
        unnamed = asyncio.create_task(desk.call())
        await asyncio.sleep(0)
        desk.runner.release()
        assert {(await first).recorded.index, (await unnamed).recorded.index} == {0, 1}
        with pytest.raises(Conflict):
            await desk.call(name="n")

    run(work())
    assert desk.runner.calls == 2
    assert desk.spent() == 32


def test_a_call_over_the_budget_is_refused_before_anything_runs(house: House) -> None:
    """One second of answer is the least that is set aside while a call runs."""
    desk = Desk(house, budget=10 + 3 - 1)
    with pytest.raises(AccessRefused) as refused:
        run(desk.call())
    assert refused.value.values["reasons"] == ("budget-used-up",)
    assert desk.runner.calls == 0
    (row,) = desk.rooms.durable()
    assert (row.op, row.asset, row.units) == (OP_REFUSAL, desk.model, 1)
    desk.close()


def test_a_small_budget_pays_for_a_small_answer(house: House) -> None:
    desk = Desk(house, budget=10 + 2 * 3)
    called: Called = run(desk.call())
    assert (called.audio_seconds, called.price) == (2, 16)
    assert desk.spent() == 16
    desk.close()


def test_an_answer_longer_than_the_budget_pays_is_neither_delivered_nor_billed(house: House) -> None:
    desk = Desk(house, budget=10 + 2 * 3)
    desk.runner.does = lambda _: CallAnswer(sound(2.5), "audio/wav")
    with pytest.raises(ModelError) as failed:
        run(desk.call())
    assert failed.value.code == "budget_too_small"
    (row,) = desk.rooms.durable()
    assert (row.op, row.flags) == (OP_CALL, FLAG_FAILED)
    assert desk.spent() == 0
    desk.close()


def test_a_body_of_a_kind_the_model_does_not_take_is_refused_before_anything_runs(desk: Desk) -> None:
    """Sound sent under another name would not be measured, and so not be billed."""
    with pytest.raises(ModelError) as failed:
        run(desk.call(sound(3.0), "application/octet-stream"))
    assert failed.value.code == "media_type_not_accepted"
    assert (desk.runner.calls, desk.rooms.durable()) == (0, [])


def test_the_longest_answer_is_bounded_whatever_the_budget(desk: Desk) -> None:
    desk.runner.does = lambda _: CallAnswer(sound(LONGEST_AUDIO_S + 1.0), "audio/wav")
    with pytest.raises(ModelError) as failed:
        run(desk.call())
    assert failed.value.code == "audio_too_long"


def test_calls_at_once_never_exceed_the_budget(house: House) -> None:
    desk = Desk(house, budget=47, per_call=10, per_second=0)

    async def one() -> bool:
        try:
            await desk.call()
        except AccessRefused:
            return False
        return True

    async def work() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(30))))

    assert run(work()) == 4
    assert desk.runner.calls == 4
    assert desk.spent() == 40
    desk.close()


def test_a_revoked_grant_calls_nothing(desk: Desk) -> None:
    desk.house.do(desk.house.lab, RevokeGrant(grant=desk.grant))
    with pytest.raises(AccessRefused) as refused:
        run(desk.call())
    assert refused.value.values["reasons"] == ("grant-revoked",)
    assert desk.runner.calls == 0


def test_models_that_are_not_here_are_not_called(desk: Desk) -> None:
    house = desk.house
    undeployed = house.model()
    other = Actor("other", kind="node").join(house.ledger)
    elsewhere = house.model()
    price = CallPrice(version=2, per_call=1)
    house.do(house.creator, PublishEndpoint(model=elsewhere, node=other.number, price=price))

    async def work(model: int, code: str) -> None:
        with pytest.raises(NotFound) as refused:
            await desk.gateway.call(desk.session, model, CallRequest(b"", "application/json", {}))
        assert refused.value.code == code

    run(work(9_999, "unknown_object"))
    run(work(undeployed, "model_not_here"))
    run(work(elsewhere, "model_not_here"))
    assert desk.rooms.durable() == []


def test_a_request_that_cannot_be_measured_is_refused_before_anything_runs(desk: Desk) -> None:
    for body, code in ((b"not a sound", "audio_unreadable"), (sound(601, rate=8), "audio_too_long")):
        with pytest.raises(ModelError) as refused:
            run(desk.call(body, "audio/wav"))
        assert refused.value.code == code
    assert (desk.runner.calls, desk.rooms.durable()) == (0, [])


@pytest.mark.parametrize(
    ("body", "media_type", "seconds"),
    [
        (sound(1), "audio/wav", 1),
        (sound(1.001), "audio/wav", 2),
        (sound(600, rate=8), "audio/x-anything", 600),
        (sound(1), "application/octet-stream", 0),
        (b"MThd", "audio/midi", 0),
        (b"", "text/plain", 0),
    ],
)
def test_audio_is_measured_in_started_seconds(body: bytes, media_type: str, seconds: int) -> None:
    assert audio_seconds(body, media_type) == seconds
