"""Run benchmarks one after another, show what came out, and write it down.

``python3 dev.py bench [NAME...] [--quick] [--list]``
"""

import argparse
import importlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.measuring import Benchmark, Round, Summary, Trial, show, summarize

NAMES = (
    "proof_size",
    "proof_verification",
    "batch_apply",
    "ledger_small_transactions",
    "receipts",
    "http_reads",
    "upload_large",
    "upload_small",
)
"""Every benchmark, the cheapest first."""

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SCRATCH = HERE / "scratch"


def load(name: str) -> Benchmark:
    """The benchmark of a name."""
    found = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    assert isinstance(found, Benchmark)
    return found


def measure(name: str, benchmark: Benchmark, *, quick: bool) -> list[Round]:
    """All rounds of a benchmark, in a folder of its own that is gone afterwards."""
    scratch = SCRATCH / f"{name}-{time.time_ns()}"
    scratch.mkdir(parents=True)
    try:
        return list(benchmark.measure(Trial(scratch, quick, 2 if quick else benchmark.rounds)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def result_of(benchmark: Benchmark, rounds: list[Round]) -> dict[str, Any]:
    """What is written down."""
    summary = summarize(rounds)
    result: dict[str, Any] = {
        "figure": benchmark.figure,
        "unit": benchmark.unit,
        "target": str(benchmark.target) if benchmark.target is not None else None,
        "met": summary.is_met(benchmark),
        "median": _number(summary.median),
        "baseline": {"what": benchmark.baseline, "median": _number(summary.baseline)},
        "ratio": _number(summary.ratio),
    }
    if summary.wall is not None:
        result["wall"] = {
            "unit": benchmark.wall_unit,
            "median": _number(summary.wall),
            "baseline": _number(summary.wall_baseline),
            "ratio": _number(summary.wall_ratio),
        }
    result["details"] = {name: _detail(benchmark, name, value) for name, value in summary.details.items()}
    result["rounds"] = [
        {
            name: _number(value)
            for name, value in {**one._asdict(), **one.details}.items()
            if isinstance(value, int | float)
        }
        for one in rounds
    ]
    result["measured"] = time.strftime("%Y-%m-%d", time.gmtime())
    result["commit"] = machine.commit(HERE.parent)
    result["machine"] = machine.describe()
    return result


def _detail(benchmark: Benchmark, name: str, value: float) -> dict[str, Any]:
    detail = benchmark.details[name]
    shown = {"what": detail.what, "unit": detail.unit, "median": _number(value)}
    return shown if detail.target is None else {**shown, "target": str(detail.target)}


def _number(value: float | None) -> float | int | None:
    """Four digits mean something, more do not."""
    if value is None:
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) else rounded


def write(name: str, result: dict[str, Any]) -> Path:
    """Write a result down."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return path


def table_of(rows: list[tuple[str, Benchmark, Summary]]) -> Table:
    """What came out, for a person."""
    table = Table(title="Figures per processor second where the unit says so; medians of all rounds")
    for heading in ("figure", "median", "unit", "target", "met", "baseline", "ratio", "wall", "wall ratio"):
        table.add_column(heading, justify="left" if heading in ("figure", "unit", "target") else "right")
    for name, benchmark, summary in rows:
        met = {True: "yes", False: "NO", None: ""}[summary.is_met(benchmark)]
        table.add_row(
            name,
            show(summary.median),
            benchmark.unit,
            str(benchmark.target or ""),
            met,
            show(summary.baseline),
            f"{summary.ratio:.2f}",
            "" if summary.wall is None else show(summary.wall),
            "" if summary.wall_ratio is None else f"{summary.wall_ratio:.2f}",
        )
        for detail, value in summary.details.items():
            said = benchmark.details[detail]
            is_met = "" if said.target is None else "yes" if said.target.is_met(value) else "NO"
            table.add_row(f"  {said.what}", show(value), said.unit, str(said.target or ""), is_met, "", "", "", "")
    return table


def run(name: str, *, quick: bool) -> tuple[str, Benchmark, Summary]:
    """Measure one, and write it down unless it was a quick run."""
    benchmark = load(name)
    print(f"measuring {name}", file=sys.stderr, flush=True)
    rounds = measure(name, benchmark, quick=quick)
    if not quick:
        write(name, result_of(benchmark, rounds))
    return name, benchmark, summarize(rounds)


def main(arguments: list[str]) -> int:
    """Run what is named; 1 when a target was missed in a full run."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all when none is named")
    parser.add_argument("--quick", action="store_true", help="small amounts, two rounds, nothing written down")
    parser.add_argument("--list", action="store_true", help="say what there is")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"one of {', '.join(NAMES)} expected, got {', '.join(unknown)}")
    if given.list:
        for name in NAMES:
            benchmark = load(name)
            print(f"{name}: {benchmark.figure}; {benchmark.unit}; target {benchmark.target or 'none'}")
        return 0
    rows: list[tuple[str, Benchmark, Summary]] = []
    try:
        for name in given.names or NAMES:
            rows.append(run(name, quick=given.quick))
    finally:  # one that cannot be measured does not take away what the others gave
        Console(width=None if sys.stdout.isatty() else 180).print(table_of(rows))
    missed = [name for name, benchmark, summary in rows if summary.is_met(benchmark) is False]
    return 1 if missed and not given.quick else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
