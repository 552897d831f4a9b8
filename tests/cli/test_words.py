"""What is printed: exact, readable, and harmless."""

import json

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from audiera.cli.errors import report_errors
from audiera.cli.output import Output, counted, length_text, make_console, moment_text, numbers_text, size_text, spark
from audiera.cli.plain import plain
from audiera.cli.show import _estimate
from audiera.cli.words import key_text, parse_key_text, price_text, rule_text, terms_rows
from audiera.protocol.errors import NotFound
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records import Price, Rule, Terms
from audiera.protocol.records.asset import Estimate
from audiera.sdk import preset


@given(st.text())
def test_other_peoples_text_cannot_steer_a_terminal(text: str) -> None:
    shown = plain(text)
    assert len(shown) == len(text)
    assert not any(ord(each) < 32 and each not in "\n\t" for each in shown)
    assert not set(shown) & set("\x7f\x9b\x1b\u202e\u2066\u200f\ufeff\u2028")
    assert plain(shown) == shown


def test_readable_text_is_left_as_it_is() -> None:
    for text in ("Ein Stück für 人", "naïve ☃", "नमस्ते\u200dx", "👩\u200d🎤", "two\nlines\tand"):
        assert plain(text) == text
    assert plain("a\x1b[31mb\x1b]0;title\x07") == "a\ufffd[31mb\ufffd]0;title\ufffd"


@pytest.mark.parametrize("is_json", [True, False])
def test_a_title_with_escapes_is_harmless_in_a_table(is_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=is_json)
    output.table({"title": "\x1b[2J"}, ("title",), [("\x1b[2J[bold]x[/bold]",)], empty="")
    output.facts({"title": "\x1b[2J"}, {"title": "\x1b[2J", "none": None, "empty": ""})
    output.say("\x1b[2J")
    output.give({"title": "\x1b[2J"}, "\x1b[2J")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert is_json or "[bold]x[/bold]" in said


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).table([], ("#a",), [], empty="nothing here")
    assert capsys.readouterr().out == "nothing here\n"


def test_amounts_lengths_sizes_and_counts_are_words() -> None:
    assert [size_text(size) for size in (0, 999, 1_000, 5_500_000, 10**12)] == [
        "0 B", "999 B", "1.0 kB", "5.5 MB", "1000.0 GB"
    ]  # fmt: skip
    assert [length_text(value) for value in (None, 0, 61_250, 3_600_000)] == ["-", "0:00.0", "1:01.2", "60:00.0"]
    assert [moment_text(value) for value in (0, 1_000_000)] == ["-", "1970-01-01 00:00:01"]
    assert [counted(1, "asset"), counted(2, "asset"), counted(2, "access"), counted(1_000, "day")] == [
        "1 asset", "2 assets", "2 accesses", "1,000 days"
    ]  # fmt: skip
    assert numbers_text((1, 2)) == "1, 2"
    assert numbers_text(tuple(range(20)), most=2) == "0, 1 and 18 more"


def test_an_outline_is_one_line() -> None:
    assert spark((), ()) == ""
    line = spark((-1,) * 512 + (-128,) * 512, (1,) * 512 + (127,) * 512, width=10)
    assert len(line) == 10 and line[0] == " " and line[-1] == "█"
    assert spark((0,), (0,), width=3) == "   "


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("A minor", "A-minor"), ("a-minor", "A-minor"), ("D# major", "Ds-major"), ("Eb Major", "Ds-major"),
        ("Ds-major", "Ds-major"), ("f# minor", "Fs-minor"), ("anything", "anything"),
    ],
)  # fmt: skip
def test_keys_are_typed_as_musicians_do(typed: str, key: str) -> None:
    assert parse_key_text(typed) == key
    assert parse_key_text(key_text(key)) == key


def test_a_rule_says_everything_it_limits() -> None:
    rule = Rule(
        purpose="train-generative", verdict="terms", commercial=True, audience="request", territories=("DE", "FR"),
        valid_from=1_000_000, valid_until=2_000_000, price=Price(unit="minute", amount=20_000), revenue_share=500,
        duties=("attribution", "label-ai-output"),
    )  # fmt: skip
    assert rule_text(rule) == (
        "yes, commercial too, 0.02 credits per minute, 5 % of a model's revenue, on request, in DE, FR, "
        "from 1970-01-01 00:00:01, until 1970-01-01 00:00:02, attribution, label ai output"
    )
    assert rule_text(Rule(purpose="index", verdict="deny")) == "no"
    assert price_text(None) == "free"


def test_every_purpose_is_said_and_what_is_not_allowed_is_no() -> None:
    rows = dict(terms_rows(preset("open")))
    assert len(rows) == len(ASSET_PURPOSES)
    assert rows["imitate the artist"] == "no"
    assert set(dict(terms_rows(Terms(rules=()))).values()) == {"no"}
    imitation = Terms(rules=(Rule(purpose="imitate", verdict="allow"),))
    assert dict(terms_rows(imitation))["imitate the artist"] == "no"


@click.command()
@click.argument("what")
@click.option("--json", "is_json", is_flag=True)
def faulty(what: str, is_json: bool) -> None:
    """Fails as it is told."""
    faults: dict[str, BaseException] = {
        "missing": NotFound("there is no \x1b[2J", code="asset_not_found", ref=1),
        "disk": PermissionError(13, "Permission denied", "/some/file"),
        "system": OSError("no such thing"),
        "abort": click.Abort(),
        "interrupt": KeyboardInterrupt(),
        "usage": click.UsageError("type it otherwise"),
    }
    with report_errors(is_json=is_json):
        raise faults[what]


@pytest.mark.parametrize(
    ("what", "exit_code", "code", "said"),
    [
        ("missing", 1, "asset_not_found", "there is no"),
        ("disk", 1, "file_failed", "/some/file: Permission denied"),
        ("system", 1, "file_failed", "no such thing"),
        ("abort", 1, "stopped", "stopped before it was done"),
        ("interrupt", 1, "stopped", "stopped before it was done"),
        ("usage", 2, "usage", "type it otherwise"),
    ],
)
def test_what_goes_wrong_is_said_in_words_or_as_json(what: str, exit_code: int, code: str, said: str) -> None:
    words = CliRunner().invoke(faulty, [what])
    assert (words.exit_code, words.stdout) == (exit_code, "")
    assert said in words.stderr and "\x1b" not in words.stderr
    program = CliRunner().invoke(faulty, [what, "--json"])
    assert (program.exit_code, program.stdout) == (exit_code, "")
    error = json.loads(program.stderr)["error"]
    assert error["code"] == code and said in error["message"]


def test_a_wide_table_is_not_squeezed_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert make_console().width == make_console(stderr=True).width == 110


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tempo_mbpm", "120500", ("tempo", "120.5 BPM")),
        ("tempo_mbpm", "unknown", ("tempo mbpm", "unknown")),
        ("key", "Fs-minor", ("key", "F# minor")),
        ("brightness_hz", "390", ("brightness", "390 Hz")),
        ("any_thing", "x", ("any thing", "x")),
    ],
)
def test_estimates_are_named_as_people_name_them(name: str, value: str, said: tuple[str, str]) -> None:
    assert _estimate(Estimate(name=name, value=value, method="m", confidence=100)) == said
