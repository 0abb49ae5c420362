"""Tables in .xlsx workbooks, read with openpyxl as a stream and within bounds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

from affinitynet.data.layouts.base import LARGEST_TEXT
from affinitynet.data.layouts.table import Row, Table
from affinitynet.data.layouts.text import tidy
from affinitynet.errors import InputError, Problems, one_line

MOST_ROWS = 2**20
"""Of a worksheet, by Excel's own rules."""

MOST_CELLS = 20_000_000
_PARTS = ("xl/worksheets/", "xl/sharedstrings", "xl/workbook", "xl/styles", "[content", "_rels")


def read_workbook(content: bytes, path: Path, problems: Problems) -> Table:
    """Read the first worksheet that holds anything.

    Formulas count with the value that the spreadsheet saved; one that was saved without a value is refused.

    Raises:
        InputError: the file is damaged, unpacks to more than lists may have, or a formula has no value.
    """
    _check_size(content, path)
    try:
        return _read(content, path, problems)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # openpyxl meets damaged workbooks with errors of every kind
        raise InputError(
            f"{path}: not a readable workbook ({one_line(error)[:200]}); save it again or as CSV"
        ) from None


def _check_size(content: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(i.file_size for i in archive.infolist() if i.filename.lower().startswith(_PARTS))
            encrypted = any(i.flag_bits & 1 for i in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable workbook ({one_line(error)}); save it again or as CSV") from None
    if encrypted:
        raise InputError(f"{path}: has a password; save it without one")
    if size > LARGEST_TEXT:
        raise InputError(
            f"{path}: unpacks to {size / 2**20:.0f} MB; lists are limited to {LARGEST_TEXT / 2**20:.0f} MB; "
            "save the table of tags alone, or as CSV"
        )


def _read(content: bytes, path: Path, problems: Problems) -> Table:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    try:
        found: Table | None = None
        for sheet in book.worksheets:
            rows = list(_filled_rows(sheet, path))
            if rows and found is not None:
                problems.warn(f"{path}: the sheet {sheet.title!r} is not read; the first one with cells is")
            elif rows:
                header = tuple(tidy(str(cell)) for cell in rows[0].cells)
                found = Table(path, header, [_padded(row, len(header)) for row in rows[1:]])
                _check_formulas(content, sheet.title, rows, path)
        return found or Table(path, (), [])
    finally:
        book.close()


def _filled_rows(sheet: Any, path: Path) -> Iterator[Row]:
    """Return the rows in which something is written, as texts."""
    sheet.reset_dimensions()  # they may be wrong, and rows are padded to them
    cells = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells += len(values)
        if number > MOST_ROWS or cells > MOST_CELLS:
            raise InputError(f"{path}: the sheet {sheet.title!r} has no end; copy the table to a new workbook")
        texts = [_text(value) for value in values]
        if any(text.strip() for text in texts):
            yield Row(f"{path}:{number}", tuple(texts))


def _padded(row: Row, columns: int) -> Row:
    """Return a row with blank cells at its end, which workbooks do not store."""
    return Row(row.where, row.cells + ("",) * (columns - len(row.cells)))


def _text(value: object) -> str:
    """Return a cell as a spreadsheet shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _check_formulas(content: bytes, title: str, rows: list[Row], path: Path) -> None:
    """Raise if a cell looks blank only because its formula was never computed."""
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if not any(b"<f" in archive.read(n) for n in archive.namelist() if n.lower().startswith("xl/worksheets/")):
            return
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    try:
        values = {row.where: row.cells for row in rows}
        for written in _filled_rows(book[title], path):
            for cell, formula in zip_longest(values.get(written.where, ()), written.cells):
                if not cell and str(formula).startswith("="):
                    raise InputError(
                        f"{written.where}: the formula {str(formula)[:40]!r} was saved without its value; "
                        "open and save the workbook in a spreadsheet, or save it as CSV"
                    )
    finally:
        book.close()
