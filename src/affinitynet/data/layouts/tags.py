"""What the rows of tables say: which file, which classes, which split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affinitynet.data.layouts.cells import clearly_separated, separated, split_cell
from affinitynet.data.layouts.columns import YES, Columns, cell_text, find_columns, is_yes
from affinitynet.data.layouts.json_tables import NotAnnotated
from affinitynet.data.layouts.table import Row, Table
from affinitynet.data.layouts.tables import SPLIT_NAMES, TableFile, read_table
from affinitynet.data.layouts.text import fold, tidy
from affinitynet.errors import InputError, Problems

NO_TAG = frozenset(("nan", "none", "null", "<na>", "n/a", "#n/a", "na", "nil", "-", "--", "\u2013", "\u2014"))
"""What programs and people write into a cell without tags."""

UNKNOWN = frozenset(("?", "unknown", "unlabeled", "unlabelled", "untagged", "todo", "tbd"))
"""What says that nobody has looked: neither a class nor a negative."""

BACKGROUND_NAMES = frozenset(("background", "_background_", "__background__"))
"""Not a class: every mask has it, as value 0."""

NEGATIVE_NAMES = frozenset(
    (
        *("negative", "neg", "nothing", "empty", "no finding", "no findings", "no object", "no objects", "no label"),
        *("no tag", "no tags", "no class"),
    )
)


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    Args:
        where: file and line.
        written: the file as the row writes it.
        base: the folder that is relative to, below the collection's.
        tags: class names; ``None`` if they are not known.
        explicit: whether the cells say where each tag ends.
        split: the split it belongs to, if the table says so.
        one_hot: whether each class has a column, so that the row says of each whether it is there.
    """

    where: str
    written: str
    base: str
    tags: tuple[str, ...] | None
    explicit: bool
    split: str | None
    one_hot: bool = False


@dataclass(frozen=True)
class Entries:
    """The rows of a collection's tables.

    Args:
        rows: the usable ones.
        columns: class names in the order of the columns where each has one, else ``None``.
    """

    rows: tuple[Entry, ...]
    columns: tuple[str, ...] | None


def read_entries(tables: Sequence[TableFile], known: Sequence[str], problems: Problems) -> Entries:
    """Read tables and bring their tags to one spelling.

    Args:
        known: class names of ``classes.txt``, whose spelling wins.

    Raises:
        InputError: a table cannot be used as a whole; or a row, unless ``problems`` records it.
    """
    rows: list[Entry] = []
    orders: list[tuple[str, ...] | None] = []
    for file in tables:
        table = read_table(file.path, problems)
        columns = find_columns(table, problems)
        orders.append(_class_names(table, columns, problems) if columns.classes else None)
        for row in table.rows:
            if any(cell_text(cell) for cell in row.cells):
                with problems.noted(_name(row, columns), "row"):
                    rows.append(_entry(row, table, columns, file))
    parts = clearly_separated((tag for row in rows if not row.explicit for tag in row.tags or ()), problems)
    rows = [_divided(row, parts) for row in rows]
    parts = separated([list(row.tags) for row in rows if row.tags and not row.explicit], known, problems)
    rows = [_divided(row, parts) for row in rows]
    spelling = _spellings(rows, known, problems)
    rows = [_spelt(row, spelling, problems) for row in rows]
    _warn_of_names({tag for row in rows for tag in row.tags or ()}, known, tables, problems)
    order = dict.fromkeys(name for names in orders for name in names or ())
    return Entries(tuple(rows), None if None in orders else tuple(spelling.get(name, name) for name in order))


def _name(row: Row, columns: Columns) -> str:
    return cell_text(row.cells[columns.file]) if len(row.cells) > columns.file else ""


def _entry(row: Row, table: Table, columns: Columns, file: TableFile) -> Entry:
    cells = list(row.cells)
    while len(cells) > len(table.header) and not cell_text(cells[-1]):
        cells.pop()
    if len(cells) > len(table.header) or len(cells) < columns.needed:
        several = columns.tags and len(cells) > len(table.header)
        cure = "fix the row; several tags go into one cell, with semicolons" if several else "fix the row"
        raise InputError(f"{row.where}: {len(cells)} cells under {len(table.header)} columns; {cure}")
    written = cell_text(cells[columns.file])
    if not written:
        raise InputError(f"{row.where}: names no file; write one, or remove the row")
    split = file.split
    if columns.split is not None and (value := tidy(cell_text(cells[columns.split])).casefold()):
        split = SPLIT_NAMES.get(value, value)
    if columns.classes:
        headers = [(n, table.header[n]) for n in columns.classes]
        names = tuple(h for n, h in headers if is_yes(cells[n], columns, row.where, h) and not _is_background(h))
        return Entry(row.where, written, file.base, names, True, split, one_hot=True)
    return _tagged(row, cells, written, columns, Entry(row.where, written, file.base, (), False, split))


def _tagged(row: Row, cells: list[object], written: str, columns: Columns, entry: Entry) -> Entry:
    """Return an entry with the tags of its cells."""
    if columns.confidence is not None and fold(cell_text(cells[columns.confidence])) not in YES:
        return replace(entry, explicit=True)
    if any(isinstance(cells[n], NotAnnotated) for n in columns.tags):
        return replace(entry, tags=None, explicit=True)
    place = row.where if repr(written) in row.where else f"{row.where}: {written!r}"
    found = [split_cell(cells[n], place) for n in columns.tags]
    return replace(entry, tags=tuple(tag for tags, _ in found for tag in tags), explicit=all(e for _, e in found))


def _class_names(table: Table, columns: Columns, problems: Problems) -> tuple[str, ...]:
    names = [table.header[n] for n in columns.classes]
    for name in filter(_is_background, names):
        problems.taken("columns for the background, which is in every mask as 0", name)
    return tuple(name for name in names if not _is_background(name))


def _is_background(name: str) -> bool:
    return fold(name) in BACKGROUND_NAMES


def _divided(row: Entry, parts: dict[str, list[str]]) -> Entry:
    if row.explicit or not row.tags or not any(tag in parts for tag in row.tags):
        return row
    return replace(row, tags=tuple(part for tag in row.tags for part in parts.get(tag, [tag])))


def _spellings(rows: Sequence[Entry], known: Sequence[str], problems: Problems) -> dict[str, str]:
    """Return tag as written -> as its class is called: as in ``known``, else in the commonest spelling."""
    counts = Counter(tag for row in rows for tag in row.tags or ())
    groups: dict[str, list[str]] = {fold(name): [name] for name in known}
    listed = set(groups)
    for tag in sorted(counts, key=lambda tag: -counts[tag]):
        groups.setdefault(fold(tag), []).append(tag)
    spelling = {}
    for key, tags in groups.items():
        name = tags[0] if key in listed else tidy(tags[0])
        for tag in tags:
            spelling[tag] = name
            if tag != name:
                how = "upper and lower case" if tidy(tag) != tidy(name) else "invisible characters or composition"
                problems.taken(f"spellings of tags that differ in {how} alone", f"{tag!r} is {name!r}")
    return spelling


def _spelt(row: Entry, spelling: dict[str, str], problems: Problems) -> Entry:
    """Return a row in one spelling, without what only says that there is no tag."""
    if row.tags is None:
        problems.taken("rows that nobody has tagged, which count as rows that are not there", row.written)
        return row
    names = dict.fromkeys(spelling[tag] for tag in row.tags)
    if row.one_hot:
        return replace(row, tags=tuple(names))
    keys = {name: fold(name) for name in names}
    unknown = next((name for name, key in keys.items() if key in UNKNOWN), None)
    if unknown is not None:
        problems.taken(f"rows tagged {unknown!r}, which count as rows that are not there", row.written)
        return replace(row, tags=None)
    for name, key in keys.items():
        if key in NO_TAG:
            problems.taken(f"tags {name!r}, read as a blank cell: none of the classes is in the image", row.written)
        elif key in BACKGROUND_NAMES:
            problems.taken(f"tags {name!r}, which is not a class: every mask has it as value 0", row.written)
    return replace(row, tags=tuple(name for name, key in keys.items() if key not in NO_TAG | BACKGROUND_NAMES))


def _warn_of_names(names: set[str], known: Sequence[str], tables: Sequence[TableFile], problems: Problems) -> None:
    """Warn of classes that are probably something else."""
    table = Path(tables[0].path).name
    for name in sorted(names - set(known)):
        if fold(name) in NEGATIVE_NAMES:
            problems.warn(
                f"{table}: the class {name!r} sounds like images that show none of the classes; "
                "if so, leave their cells blank: a class has pixels of its own"
            )
    if names and not known and all(name.isascii() and name.isdigit() for name in names):
        problems.warn(
            f"{table}: the classes are called {', '.join(sorted(names, key=int)[:4])}; "
            "if a number stands for none of the classes, leave that cell blank"
        )
