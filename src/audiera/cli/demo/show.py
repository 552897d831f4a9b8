"""What the demo prints: headings, sentences, tables, progress."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from audiera.cli.output import make_console


class Show:
    """The terminal."""

    def __init__(self) -> None:
        self.console: Console = make_console()
        self._scene = 0

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._scene += 1
        self.console.print()
        self.console.print(Text(f"{self._scene}. {title}", style="bold cyan"))

    def say(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(text)

    def verdict(self, *, is_good: bool, text: str) -> None:
        """Print a sentence with a mark for yes or no."""
        mark = Text("yes " if is_good else "no  ", style="bold green" if is_good else "bold red")
        self.console.print(Text.assemble(mark, text))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, foot: Sequence[object] = ()) -> None:
        """Print a table; columns whose name begins with # are numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            is_number = column.startswith("#")
            table.add_column(column.removeprefix("#"), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        if foot:
            table.add_section()
            table.add_row(*(Text(str(cell), style="bold") for cell in foot))
        self.console.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator["Ticker"]:
        """A bar that counts to a total."""
        columns = (TextColumn("   {task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield Ticker(progress, what, total)


class Ticker:
    """One bar at work."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=total)

    def to(self, done: int) -> None:
        """Show how far it is."""
        self._progress.update(self._task, completed=done)
