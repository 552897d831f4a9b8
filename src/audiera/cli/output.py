"""What commands print: tables and sentences for people, one JSON document for programs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import click
import msgspec

from audiera.cli.plain import plain
from audiera.sdk.money import MICRO, format_credits

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH = 110
_BARS = " ▁▂▃▄▅▆▇█"


def make_console(*, stderr: bool = False) -> "Console":
    """Where words are printed: nothing in them is markup, for titles and names are other people's."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False, stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, emoji=False, markup=False, stderr=stderr, width=_WIDTH)
    return console


class Output:
    """Where a command's results go.

    Args:
        is_json: whether a program reads them.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    @cached_property
    def console(self) -> "Console":
        """Where words are printed."""
        return make_console()

    def give(self, answer: object, words: str = "") -> None:
        """Print an answer: as JSON, or in the words given for it, whose lines are left as they are."""
        if self.is_json:
            click.echo(msgspec.json.encode(answer, enc_hook=str).decode())
        elif words:
            click.echo(plain(words))

    def say(self, words: str, *, style: str = "") -> None:
        """Print a sentence for people; nothing when a program reads."""
        if not self.is_json:
            self.console.print(plain(words), style=style or None)

    def hint(self, words: str) -> None:
        """Say, beside the results, what may be done next; nothing when a program reads."""
        if not self.is_json:
            click.secho(words, dim=True, err=True)

    def table(self, answer: object, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """Print an answer as JSON, or as a table; ``empty`` is said when it has no rows."""
        if self.is_json:
            self.give(answer)
            return
        cells = [[plain(str(cell)) for cell in row] for row in rows]
        self.console.print(columns_of(columns, cells) if cells else empty)

    def facts(self, answer: object, facts: Mapping[str, object]) -> None:
        """Print an answer as JSON, or as named facts; empty ones are left out."""
        if self.is_json:
            self.give(answer)
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in facts.items():
            if value not in ("", None):
                table.add_row(name, plain(str(value)))
        self.console.print(table)


def columns_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    """A table; columns whose name begins with # are numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        is_number = column.startswith("#")
        table.add_column(column.removeprefix("#"), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 asset``, ``2 assets``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def numbers_text(numbers: Sequence[int], most: int = 12) -> str:
    """Ledger numbers, the first of them when they are many."""
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most:,} more"


credits_text = format_credits
"""An amount as people read it, exact: ``1.25`` credits."""


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
