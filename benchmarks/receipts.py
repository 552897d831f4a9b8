"""Durable acknowledgements of single rows: 1,000 tasks at a time through the meter, on the real write-ahead file.

Each task asks for one row, waits until it is durable, and asks for the next. The event loop is the node's.
"""

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from audiera.protocol.encoding import digest
from audiera.protocol.keys import sign_bytes
from audiera.services.access import Meter, RowFields
from audiera.services.storage.waf import open_write_ahead
from benchmarks.chains import CHAIN, now_us
from benchmarks.measuring import Benchmark, Detail, Round, Spent, Target, Trial, quantile, rate, spending

TASKS = 1_000
_SEED = digest(b"node")
_FIELDS = RowFields(asset=7, consumer=8, grant=9, session=10, bytes=4_096, units=500, policy=1, purpose=4, op=1)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop a node runs on."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _acknowledged(meter: Meter, each: int) -> list[float]:
    """Every task's waits, seconds."""
    waits: list[float] = []

    async def work() -> None:
        for _ in range(each):
            start = time.perf_counter()
            recorded = await meter.record(_FIELDS)
            waits.append(time.perf_counter() - start)
            assert recorded.index >= 0

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(work())
    return waits


def _through_the_meter(folder: Path, each: int) -> tuple[Spent, list[float], int]:
    """What it took, the waits, and in how many groups the rows became durable."""
    meter = Meter(
        open_write_ahead(folder, entropy=os.urandom),
        chain_id=CHAIN,
        node=1,
        clock=now_us,
        sign=partial(sign_bytes, _SEED),
        next_index=0,
        last_t=0,
    )
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_acknowledged(meter, 2))
        groups = len(meter.unsealed)
        with spending() as spent:
            waits = runner.run(_acknowledged(meter, each))
    groups = len(meter.unsealed) - groups
    assert len(waits) == TASKS * each
    meter.close()
    return spent, waits, groups


def _least_work(folder: Path, count: int) -> Spent:
    """The same rows packed and appended, one sync for each thousand: nobody waits, nothing is signed."""
    pack = struct.Struct("<6Q3I2BH").pack
    asset, consumer, grant, session, size, units, policy, purpose, op, flags = _FIELDS
    file = open_write_ahead(folder, entropy=os.urandom)
    with spending() as spent:
        for first in range(0, count, TASKS):
            rows = b"".join(
                pack(asset, now_us(), consumer, grant, session, size, units, 1, policy, purpose, op, flags)
                for _ in range(TASKS)
            )
            file.append(first, rows, b"")
    file.close()
    return spent


def measure(trial: Trial) -> Iterator[Round]:
    """Rounds, each in new files."""
    each = 5 if trial.quick else 200
    count = TASKS * each
    for number in range(trial.rounds):
        candidate, waits, groups = _through_the_meter(trial.scratch / f"meter-{number}", each)
        baseline = _least_work(trial.scratch / f"plain-{number}", count)
        yield rate(
            count,
            candidate,
            baseline,
            p50_ms=1_000.0 * quantile(waits, 0.50),
            p99_ms=1_000.0 * quantile(waits, 0.99),
            group_rows=count / groups,
        )


BENCHMARK = Benchmark(
    figure="durable acknowledgements of single rows at 1,000 concurrent tasks, through the meter, without HTTP",
    unit="rows/CPU-s",
    wall_unit="rows/s",
    target=Target("at least", 50_000),
    baseline="the same rows appended to the same kind of file, one sync for each 1,000, nobody waiting, unsigned",
    measure=measure,
    details={
        "p50_ms": Detail("wait for a durable row, median", "ms"),
        "p99_ms": Detail("wait for a durable row, 99th percentile", "ms", Target("at most", 100.0)),
        "group_rows": Detail("rows that became durable together", "rows"),
    },
)
