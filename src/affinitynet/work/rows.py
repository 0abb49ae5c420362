"""Tables of the work folder that grow a row at a time while images are labelled, and are put in order at the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from affinitynet.files import write_text


def append_rows(rows: Sequence[tuple[str, ...]], table: Path) -> None:
    """Add rows to a table, several processes at a time if need be."""
    if rows:
        with table.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(_csv(rows))


def read_rows(table: Path, header: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the whole rows of a table, each once and in order; none where it was not written.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp()) / "found.csv"
        >>> append_rows([("b", "2"), ("a", "1"), ("b", "2")], table)
        >>> read_rows(table, ("image", "count"))
        [('a', '1'), ('b', '2')]
    """
    if not table.exists():
        return []
    lines = csv.reader(table.read_text("utf-8", "surrogateescape").splitlines())
    return sorted({tuple(row) for row in lines if len(row) == len(header)} - {header})


def write_rows(table: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Write a table with its header, atomically."""
    write_text(table, _csv([header, *rows]))


def _csv(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
