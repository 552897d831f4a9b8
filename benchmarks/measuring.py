"""What every benchmark is made of: a figure, a target, a baseline, and rounds that measure both in one run."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple


class Target(NamedTuple):
    """What a value should be."""

    word: Literal["at least", "at most"]
    """On which side of the bound."""

    bound: float
    """The bound itself."""

    of: Literal["median", "ratio"] = "median"
    """Whether the figure itself is meant, or its ratio to the baseline."""

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.word == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.word} {show(self.bound)}" + (" x baseline" if self.of == "ratio" else "")


class Detail(NamedTuple):
    """A further value of each round."""

    what: str
    """In words."""

    unit: str
    """Its unit."""

    target: Target | None = None
    """What it should be, where that matters."""


class Round(NamedTuple):
    """One repetition: candidate and baseline, measured one right after the other."""

    value: float
    """The figure, in its unit."""

    baseline: float
    """The baseline, in the same unit."""

    wall: float | None = None
    """The figure by the clock on the wall instead of processor time; None where time plays no part."""

    wall_baseline: float | None = None
    """The same of the baseline."""

    details: Mapping[str, float] = {}
    """The further values."""


class Trial(NamedTuple):
    """How a benchmark is run."""

    scratch: Path
    """An empty folder of its own, on a real disk."""

    quick: bool
    """Whether a few seconds are all there is: smaller amounts, figures that prove nothing."""

    rounds: int
    """Repetitions."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A figure and how it is measured."""

    figure: str
    """What is measured, in words."""

    unit: str
    """Unit of the figure and of its baseline."""

    wall_unit: str = ""
    """Unit of the figure by the clock on the wall; empty where time plays no part."""

    target: Target | None
    """What it should be; None where nobody has said."""

    baseline: str
    """What it is compared with, in words."""

    measure: Callable[[Trial], Iterator[Round]]
    """Gives one round after another."""

    rounds: int = 5
    """Repetitions of a full run."""

    details: Mapping[str, Detail] = field(default_factory=dict)
    """The further values, by name."""


@dataclass(slots=True)
class Spent:
    """What a stretch of work took, in this process with all its threads."""

    cpu_s: float = 0.0
    """Processor seconds."""

    wall_s: float = 0.0
    """Seconds by the clock on the wall."""


@contextmanager
def spending() -> Iterator[Spent]:
    """Measure the work inside a ``with``; what was left before it is collected before it."""
    spent = Spent()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield spent
    spent.cpu_s = time.process_time() - cpu
    spent.wall_s = time.perf_counter() - wall


def rate(amount: float, candidate: Spent, baseline: Spent, **details: float) -> Round:
    """The round of two works on the same amount: so much per processor second."""
    return Round(
        value=amount / candidate.cpu_s,
        baseline=amount / baseline.cpu_s,
        wall=amount / candidate.wall_s,
        wall_baseline=amount / baseline.wall_s,
        details=details,
    )


def quantile(values: list[float], share: float) -> float:
    """The value that a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Summary(NamedTuple):
    """The medians of all rounds."""

    median: float
    baseline: float
    ratio: float
    wall: float | None
    wall_baseline: float | None
    wall_ratio: float | None
    details: dict[str, float]

    def is_met(self, benchmark: Benchmark) -> bool | None:
        """Whether the target is met, and those of the further values; None when there is none."""
        checked = [(detail.target, self.details[name]) for name, detail in benchmark.details.items()]
        if benchmark.target is not None:
            checked.append((benchmark.target, self.ratio if benchmark.target.of == "ratio" else self.median))
        said = [target.is_met(value) for target, value in checked if target is not None]
        return all(said) if said else None


def summarize(rounds: list[Round]) -> Summary:
    """Medians; ratios are those of each round, for its two halves ran under the same conditions."""
    timed = [(one.wall, one.wall_baseline) for one in rounds if one.wall is not None and one.wall_baseline is not None]
    return Summary(
        median=median(one.value for one in rounds),
        baseline=median(one.baseline for one in rounds),
        ratio=median(one.value / one.baseline for one in rounds),
        wall=median(wall for wall, _ in timed) if timed else None,
        wall_baseline=median(base for _, base in timed) if timed else None,
        wall_ratio=median(wall / base for wall, base in timed) if timed else None,
        details={name: median(one.details[name] for one in rounds) for name in rounds[0].details},
    )


def show(value: float) -> str:
    """A number with as many digits as mean something."""
    if value >= 1_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
