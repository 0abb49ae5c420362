"""What a table is, whichever file it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        where: file and line, or whatever else finds it.
        cells: texts; in tables from JSON any value of JSON.
    """

    where: str
    cells: tuple[object, ...]


@dataclass(frozen=True)
class Table:
    """A table of tags before anything in it is understood.

    Args:
        path: the file.
        header: names of the columns as written, tidied.
        rows: those below it; each may have more or fewer cells than the header.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[Row]
