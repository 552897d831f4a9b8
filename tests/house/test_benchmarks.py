"""Every figure has a unit, a target, a baseline and a result in git; and the command that measures them works."""

import ast
import json
import math
import platform
import subprocess
import sys

import pytest
from benchmarks import run
from benchmarks.measuring import Benchmark, Detail, Round, Spent, Target, quantile, rate, show, summarize

CHEAPEST = "proof_size"


def command(root, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def result(root, name):
    return json.loads((root / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_with_a_figure_is_run(root):
    found = {
        path.stem
        for path in (root / "benchmarks").glob("*.py")
        if any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BENCHMARK"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    }
    assert found == set(run.NAMES)
    assert len(run.NAMES) == len(found)


@pytest.mark.parametrize("name", run.NAMES)
def test_every_figure_has_a_unit_a_target_and_a_baseline(name):
    benchmark = run.load(name)
    assert benchmark.figure
    assert benchmark.unit
    assert benchmark.baseline
    assert isinstance(benchmark.target, Target)
    assert benchmark.rounds >= 3
    assert all(detail.what and detail.unit for detail in benchmark.details.values())


@pytest.mark.parametrize("name", run.NAMES)
def test_every_result_is_that_of_the_figure(root, name):
    benchmark, written = run.load(name), result(root, name)
    assert written["figure"] == benchmark.figure
    assert written["unit"] == benchmark.unit
    assert written["target"] == str(benchmark.target)
    assert written["baseline"]["what"] == benchmark.baseline
    assert set(written["details"]) == set(benchmark.details)
    assert len(written["rounds"]) == benchmark.rounds
    assert written["median"] > 0
    assert written["baseline"]["median"] > 0
    assert ("wall" in written) == bool(benchmark.wall_unit)
    judged = {"median": written["median"], "ratio": written["ratio"]}[benchmark.target.of]
    of_details = [
        detail.target.is_met(written["details"][detail_name]["median"])
        for detail_name, detail in benchmark.details.items()
        if detail.target is not None
    ]
    assert written["met"] == all([benchmark.target.is_met(judged), *of_details])


@pytest.mark.parametrize("name", run.NAMES)
def test_every_result_tells_its_machine_and_nobody_s_name(root, name):
    machine = result(root, name)["machine"]
    assert machine["processor"]
    assert machine["cores"] >= 1
    assert machine["python"].split()[1][0].isdigit()
    assert machine["packages"]["numpy"]
    text = json.dumps(result(root, name))
    assert platform.node() not in text
    assert str(root) not in text


def test_results_are_in_git(root):
    listed = subprocess.run(
        ["git", "ls-files", "benchmarks/results"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    assert set(listed.stdout.split()) == {f"benchmarks/results/{name}.json" for name in run.NAMES}


def test_quick_run_shows_a_figure_and_writes_nothing(root):
    path = root / "benchmarks" / "results" / f"{CHEAPEST}.json"
    before = path.read_bytes()
    done = command(root, CHEAPEST, "--quick")
    assert done.returncode == 0, done.stderr
    assert CHEAPEST in done.stdout
    assert "at most 3,072" in done.stdout
    assert path.read_bytes() == before
    assert not list((root / "benchmarks" / "scratch").glob(f"{CHEAPEST}-*"))


def test_list_names_every_figure_with_its_target(root):
    done = command(root, "--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == list(run.NAMES)
    assert all("target" in line for line in lines)


def test_unknown_figure_is_refused_by_name(root):
    done = command(root, "nothing", "--quick")
    assert done.returncode == 2
    assert "got nothing" in done.stderr


def benchmark_of(target, **details):
    return Benchmark(figure="f", unit="u", target=target, baseline="b", measure=lambda _: iter(()), details=details)


def test_figures_are_medians_and_ratios_those_of_each_round():
    rounds = [Round(10.0, 5.0, 1.0, 2.0, {"a": 1.0}), Round(30.0, 10.0, 3.0, 2.0, {"a": 9.0}), Round(20.0, 4.0)]
    summary = summarize([one._replace(details={"a": 2.0}) if not one.details else one for one in rounds])
    assert (summary.median, summary.baseline, summary.ratio) == (20.0, 5.0, 3.0)
    assert (summary.wall, summary.wall_baseline, summary.wall_ratio) == (2.0, 2.0, 1.0)
    assert summary.details == {"a": 2.0}


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("at least", 10.0), True),
        (Target("at least", 10.1), False),
        (Target("at most", 10.0), True),
        (Target("at most", 9.9), False),
        (Target("at least", 2.0, of="ratio"), True),
        (Target("at least", 2.1, of="ratio"), False),
        (None, None),
    ],
)
def test_target_is_met_on_its_side_of_the_bound(target, met):
    assert summarize([Round(10.0, 5.0)]).is_met(benchmark_of(target)) is met


def test_further_value_that_misses_its_target_counts():
    rounds = [Round(10.0, 5.0, details={"a": 3.0})]
    detail = Detail("what", "ms", Target("at most", 2.0))
    assert summarize(rounds).is_met(benchmark_of(Target("at least", 1.0), a=detail)) is False


def test_rates_are_per_processor_second_and_per_second():
    made = rate(100, Spent(cpu_s=2.0, wall_s=4.0), Spent(cpu_s=1.0, wall_s=5.0), more=7.0)
    assert made == Round(50.0, 100.0, 25.0, 20.0, {"more": 7.0})


def test_quantiles_and_numbers_are_as_a_person_reads_them():
    values = [float(number) for number in range(100, 0, -1)]
    assert quantile(values, 0.5) == 51.0
    assert quantile(values, 0.99) == 100.0
    assert [show(value) for value in (1_234_567.0, 12.0, 12.34, 0.1234, 123.4)] == [
        "1,234,567",
        "12",
        "12.3",
        "0.123",
        "123",
    ]
    assert math.isclose(run._number(1234567.0), 1_235_000)
