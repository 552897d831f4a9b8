"""What the demo prints: headings, sentences, tables, progress."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from audiera.cli.output import columns_of, make_console
from audiera.cli.plain import plain


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
        self.console.print(plain(text))

    def verdict(self, *, is_good: bool, text: str) -> None:
        """Print a sentence with a mark for yes or no."""
        mark = Text("yes " if is_good else "no  ", style="bold green" if is_good else "bold red")
        self.console.print(Text.assemble(mark, plain(text)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, foot: Sequence[object] = ()) -> None:
        """Print a table; columns whose name begins with # are numbers."""
        table = columns_of(columns, ([plain(str(cell)) for cell in row] for row in rows))
        if foot:
            table.add_section()
            table.add_row(*(Text(str(cell), style="bold") for cell in foot))
        self.console.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator["Ticker"]:
        """A bar that counts to a total."""
        columns = (TextColumn("   {task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
        is_dumb = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=is_dumb) as progress:
            yield Ticker(progress, what, total)


class Ticker:
    """One bar at work."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=total)

    def to(self, done: int) -> None:
        """Show how far it is."""
        self._progress.update(self._task, completed=done)
