"""Tables of tags as spreadsheets, scripts and annotation tools write them -> a header and rows of cells."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from affinitynet.data.image_files import EXTENSIONS
from affinitynet.data.layouts.columns import FILE_COLUMNS, TAG_COLUMNS, column_name
from affinitynet.data.layouts.json_tables import read_json_table
from affinitynet.data.layouts.table import Row, Table
from affinitynet.data.layouts.text import decode, fold, read_bytes, tidy
from affinitynet.data.layouts.workbook import read_workbook
from affinitynet.errors import InputError, Problems

TABLE_NAMES = (
    "tags.csv",
    "tags.tsv",
    "tags.xlsx",
    "tags.json",
    "tags.jsonl",
    "labels.csv",
    "labels.tsv",
    "labels.xlsx",
    "metadata.csv",
    "metadata.jsonl",
    "_classes.csv",
)
"""Names of tables in any case; the first that exists is read."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "dev",
    "test": "test",
    "testing": "test",
}
"""What people call a split -> its name here."""

_TEXT = (".csv", ".tsv", ".tab", ".txt")
_JSON = (".json", ".jsonl", ".ndjson")
_WORKBOOKS = (".xlsx", ".xlsm")
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\t,; ]*(?:\r\n|\r|\n|$)', re.IGNORECASE)


@dataclass(frozen=True)
class TableFile:
    """A table of a collection.

    Args:
        path: the file.
        base: the folder its names are relative to, below the collection's: "" or "train".
        split: that its rows belong to, if its folder says so.
    """

    path: Path
    base: str = ""
    split: str | None = None


def find_tables(folder: Path) -> list[TableFile]:
    """Return the table of a folder, or those of its ``train``, ``valid`` and ``test``; the others it has come after.

    The first table of each folder is the one to read, see :func:`chosen_tables`.
    """
    if here := _tables_in(folder):
        return [TableFile(path) for path in here]
    try:
        inner = sorted(path for path in folder.iterdir() if fold(path.name) in SPLIT_NAMES and path.is_dir())
    except OSError:
        return []
    return [TableFile(path, sub.name, SPLIT_NAMES[fold(sub.name)]) for sub in inner for path in _tables_in(sub)]


def _tables_in(folder: Path) -> list[Path]:
    order = {name: number for number, name in enumerate(TABLE_NAMES)}
    found = []
    try:
        for path in folder.iterdir():
            name = path.name.casefold()
            if name in order and path.is_file():
                found.append((order[name], path.name != name, path))
    except OSError:
        return []
    return [path for _, _, path in sorted(found)]


def tables_of_other_names(folder: Path) -> list[Path]:
    """Return the files of a folder that may be tables of tags, though they are not called so."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv", *_WORKBOOKS))


def chosen_tables(found: list[TableFile], problems: Problems) -> list[TableFile]:
    """Return the first table of each folder; that others are not read is said."""
    chosen = {table.base: table for table in reversed(found)}
    for table in found:
        if table is not chosen[table.base]:
            problems.warn(
                f"{table.path} is not read, because {chosen[table.base].path.name} is; remove one, or use --tags FILE"
            )
    return [table for table in found if table is chosen[table.base]]


def read_table(path: Path, problems: Problems) -> Table:
    """Read a table of any kind; its first bytes decide where the suffix is wrong.

    Raises:
        InputError: it is no table that can be read; the message says how to save it.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_TEXT, *_JSON, *_WORKBOOKS):
        raise InputError(f"{path}: {suffix or 'no suffix'} is not a table that can be read; save it as CSV or .xlsx")
    content = read_bytes(path)
    if content.startswith(b"PK\x03\x04"):
        return read_workbook(content, path, problems)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"{path}: is a workbook of Excel 97 or has a password; save it as CSV or .xlsx without one")
    if suffix in _WORKBOOKS:
        raise InputError(f"{path}: is not an .xlsx workbook; save it again, or rename it if it is CSV")
    text = decode(content, path, problems)
    return read_json_table(text, path, problems) if suffix in _JSON else _read_csv(text, path, problems)


def _read_csv(text: str, path: Path, problems: Problems) -> Table:
    said = _SEPARATOR_LINE.match(text)
    body = text[said.end() :] if said else text
    first = 1 + text[: said.end()].count("\n") if said else 1
    delimiter = said[1] if said else _delimiter(body)
    rows = _rows(body, delimiter, path, first)
    while rows and not any(cell.strip() for cell in rows[0][1]):
        rows.pop(0)
    if not rows:
        return Table(path, (), [])
    header = [tidy(str(cell)) for cell in rows[0][1]]
    if _has_no_header(header):
        problems.taken("tables without a header, read as file,tags", f"{path.name} begins with {header[0]}")
        header = ["file", "tags"]
    else:
        rows.pop(0)
    return Table(path, tuple(header), [Row(f"{path}:{number}", tuple(cells)) for number, cells in rows])


def _has_no_header(header: list[str]) -> bool:
    """Return whether the first line of a table is a row: an image's name and its tags."""
    return len(header) == 2 and Path(header[0].lower()).suffix in EXTENSIONS


def _delimiter(text: str) -> str:
    """Return what separates the columns: that by which the header has a name for the files, else the most columns."""
    start = text.lstrip("\r\n \ufeff")[:65536]

    def fit(delimiter: str) -> tuple[bool, bool, int]:
        try:
            cells = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            cells = []
        names = {column_name(cell) for cell in cells}
        several = len(cells) > 1
        return several and bool(names & set(FILE_COLUMNS)), several and bool(names & set(TAG_COLUMNS)), len(cells)

    return max(_DELIMITERS, key=fit)


def _rows(text: str, delimiter: str, path: Path, first: int) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of each row.

    A blank before a quote is allowed, and so is one behind it, unless a quote is left open.
    """
    errors: list[csv.Error] = []
    for strict in (True, False):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict)
        rows, line = [], first
        try:
            for cells in reader:
                rows.append((line, cells))
                line = first + reader.line_num
        except csv.Error as error:
            errors.append(error)
            if text.count('"') % 2 or "expected after" not in str(error):
                break
        else:
            return rows
    raise InputError(
        f"{path}:{line}: not a readable table from here on ({errors[0]}); check the quotes, or save it as CSV again"
    )
