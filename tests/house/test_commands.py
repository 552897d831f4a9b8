"""What dev.py says and decides, apart from making the environment."""

import ast
import json
import subprocess
import sys

import dev
import pytest


def report(**files):
    """A coverage report: per file (covered, statements)."""
    return {
        "files": {
            name: {"summary": {"covered_lines": covered, "num_statements": total}}
            for name, (covered, total) in files.items()
        }
    }


@pytest.mark.parametrize(
    ("protocol", "rest", "short"),
    [
        (95, 75, []),
        (94, 99, ["coverage of the protocol"]),
        (95, 74, ["coverage overall"]),
        (50, 50, ["coverage overall", "coverage of the protocol"]),
    ],
)
def test_both_coverage_floors_are_held(protocol, rest, short):
    files = report(**{"src/audiera/protocol/a.py": (protocol, 100), "src/audiera/node/b.py": (rest, 100)})
    line, found = dev.coverage_shortfalls(files)
    assert found == short
    assert f"{(protocol + rest) / 2:.1f} % overall" in line
    assert f"{protocol:.1f} % of the protocol" in line


def test_branches_count_towards_coverage():
    summary = {"covered_lines": 10, "num_statements": 10, "covered_branches": 0, "num_branches": 10}
    line, found = dev.coverage_shortfalls({"files": {"src\\audiera\\protocol\\a.py": {"summary": summary}}})
    assert "50.0 % overall" in line
    assert len(found) == 2


def test_a_report_of_nothing_is_below_every_floor():
    assert len(dev.coverage_shortfalls({"files": {}})[1]) == 2


def test_help_names_every_command(root):
    done = subprocess.run([sys.executable, root / "dev.py", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert all(f"dev.py {command}" in done.stdout for command in dev.COMMANDS)


def test_an_unknown_command_is_refused_by_name(tmp_path, capsys):
    assert dev.main(["tset"], tmp_path) == 2
    said = capsys.readouterr().err
    assert "'tset'" in said
    assert "demo, node, test, fix, bench" in said
    assert list(tmp_path.iterdir()) == []


def test_a_checkout_without_its_files_is_refused_in_one_line(tmp_path, capsys):
    assert dev.main(["test"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "dev.txt" in said
    assert said.count("\n") == 1


def test_an_old_python_can_read_the_file_far_enough_to_be_told(root):
    ast.parse((root / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_it_imports_only_the_standard_library(root):
    tree = ast.parse((root / "dev.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_the_stamp_follows_what_it_is_made_from(tmp_path):
    (tmp_path / "requirements").mkdir()
    checkout = dev.Checkout(tmp_path)
    checkout.requirements.write_text("a")
    (tmp_path / "pyproject.toml").write_text("a")
    first = dev.wanted(checkout)
    assert dev.wanted(checkout) == first
    (tmp_path / "pyproject.toml").write_text("b")
    second = dev.wanted(checkout)
    assert second["packages"] == first["packages"]
    assert second["project"] != first["project"]
    checkout.requirements.write_text("b")
    assert dev.wanted(checkout)["packages"] != first["packages"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_damaged_stamp_counts_as_none(tmp_path, text):
    (tmp_path / "stamp").write_text(text)
    assert dev.found(tmp_path / "stamp") == {}


def test_a_stamp_is_written_whole(tmp_path):
    dev.write_marker(tmp_path / "stamp", {"a": "b"})
    assert json.loads((tmp_path / "stamp").read_text()) == {"a": "b"}
    assert [path.name for path in tmp_path.iterdir()] == ["stamp"]


def test_every_package_is_pinned_by_hash_and_nothing_says_where_from(root):
    for path in (root / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        entries = text.replace("\\\n", " ").splitlines()
        pins = [line for line in entries if line and not line.lstrip().startswith("#")]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
        assert "://" not in text


def test_what_runs_is_what_is_tested(root):
    def pins(name):
        lines = (root / "requirements" / name).read_text(encoding="utf-8").splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line and not line.lstrip().startswith("#")}

    assert pins("runtime.txt")
    assert pins("runtime.txt") <= pins("dev.txt")
