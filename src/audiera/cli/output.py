"""What commands print: tables and sentences for people, one JSON document for programs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.table import Table

MICRO = 1_000_000
_WIDTH = 110
_BARS = " ▁▂▃▄▅▆▇█"


def make_console() -> Console:
    """Where words are printed: nothing in them is markup, for titles and names are other people's."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, emoji=False, markup=False, width=_WIDTH)
    return console


class Output:
    """Where a command's results go.

    Args:
        is_json: whether a program reads them.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.console = make_console()

    def give(self, answer: object, words: str = "") -> None:
        """Print an answer: as JSON, or in the words given for it, whose lines are left as they are."""
        if self.is_json:
            click.echo(msgspec.json.encode(answer, enc_hook=str).decode())
        elif words:
            click.echo(words)

    def table(self, answer: object, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """Print an answer as JSON, or as a table; ``empty`` is said when it has no rows."""
        if self.is_json:
            self.give(answer)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            is_number = column.startswith("#")
            table.add_column(column.removeprefix("#"), justify="right" if is_number else "left", overflow="fold")
        count = 0
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
            count += 1
        self.console.print(table if count else empty)

    def facts(self, answer: object, facts: Mapping[str, object]) -> None:
        """Print an answer as JSON, or as named facts; empty ones are left out."""
        if self.is_json:
            self.give(answer)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in facts.items():
            if value not in ("", None):
                table.add_row(name, str(value))
        self.console.print(table)


def credits_text(microcredits: int) -> str:
    """An amount as people read it, exact: ``1.25`` credits."""
    sign = "-" if microcredits < 0 else ""
    whole, part = divmod(abs(microcredits), MICRO)
    digits = f"{part:06d}".rstrip("0")
    return f"{sign}{whole:,}.{digits.ljust(2, '0')}"


def moment_text(microseconds: int) -> str:
    """A moment in UTC; a dash for none."""
    if not microseconds:
        return "-"
    return datetime.fromtimestamp(microseconds // MICRO, UTC).strftime("%Y-%m-%d %H:%M:%S")


def length_text(milliseconds: int | None) -> str:
    """A length as minutes and seconds; a dash for none."""
    if milliseconds is None:
        return "-"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}:{rest // 1_000:02d}.{rest % 1_000 // 100}"


def size_text(size: int) -> str:
    """A number of bytes in the unit that suits it."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1_000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1_000
    return ""


def spark(low: Sequence[int], high: Sequence[int], width: int = 72) -> str:
    """The outline of a sound in one line of text.

    Args:
        low: lowest values, -128 to 127.
        high: highest values.
        width: characters.
    """
    if not low:
        return ""
    heights: list[int] = []
    for place in range(width):
        start = place * len(low) // width
        end = max(start + 1, (place + 1) * len(low) // width)
        heights.append(max(*high[start:end], *(-value for value in low[start:end])))
    top = max(*heights, 1)
    return "".join(_BARS[round(height / top * (len(_BARS) - 1))] for height in heights)
