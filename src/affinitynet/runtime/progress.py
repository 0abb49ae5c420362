"""What a person sees while it works: bars on a terminal, lines in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text


class _Rate(ProgressColumn):
    """Items per second, or seconds per item where it is slow."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("-/s")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class UnreadConsole(Console):
    """A console that raises if nobody reads what it writes, where rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Progress:
    """Bars and messages of a run.

    Args:
        log: file that messages are appended to with the time, or ``None``.
        console: where people look; bars show only if it is a terminal. ``None``: say nothing.

    Example:
        >>> with Progress().bar("counting", 3) as advance:
        ...     for _ in range(3):
        ...         advance()
    """

    def __init__(self, log: Path | None = None, console: Console | None = None) -> None:
        self.log = log
        self.console = console or Console(quiet=True)

    def say(self, message: str) -> None:
        """Print a line and append it to the log."""
        self.show(message)
        self.note(message)

    def show(self, message: str, style: str = "") -> None:
        """Print a line only.

        Args:
            style: Rich's word for colour and weight, for terminals.
        """
        encoding = self.console.encoding  # in which file names that are no text have no place
        try:
            text = message.encode(encoding, "backslashreplace").decode(encoding)
            self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        except OSError:  # nobody reads it any more, or its file's drive is full: work goes on
            self.console.quiet = True

    def note(self, message: str) -> None:
        """Append a line to the log only."""
        if self.log is not None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Callable[..., None]]:
        """Show a bar while the block runs; call what it yields once per finished item.

        Args:
            done: items finished in an earlier run.

        Yields:
            ``advance(info="")``: one more item, with a word about it (a loss, say).
        """
        if self.console.quiet or not self.console.is_terminal:
            yield lambda info="": None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[info]}"),
        )
        with Bars(*columns, console=self.console, speed_estimate_period=120) as progress:
            task = progress.add_task(label, total=total, completed=done, info="")
            yield lambda info="": progress.update(task, advance=1, info=info)
