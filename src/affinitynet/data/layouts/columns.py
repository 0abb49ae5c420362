"""Which column of a table names the files, which the tags, and which are no business of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from affinitynet.data.layouts.table import Table
from affinitynet.data.layouts.text import fold
from affinitynet.errors import InputError, Problems

FILE_COLUMNS = (
    *("file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_name", "imagename", "image_file", "image_filename", "image_path", "imagepath", "image_index"),
    *(
        "img",
        "img_name",
        "img_file",
        "img_path",
        "picture",
        "photo",
        "path",
        "image_id",
        "imageid",
        "img_id",
        "name",
        "id",
    ),
)
"""Headers of the column of files, see :func:`column_name`; of several that a table has, the first counts."""

TAG_COLUMNS = (
    *("tags", "tag", "label_names", "label_name", "labelname", "class_names", "class_name", "classname"),
    *("category_names", "category_name", "labels", "label", "classes", "class", "categories", "category"),
    *("choices", "choice", "finding_labels", "keywords"),
)
"""Headers of the column of tags; of several the first counts, but ``tag1, tag2, ...`` count together."""

SPLIT_COLUMNS = ("split", "subset", "partition", "data_split", "dataset_split")

OTHER_COLUMNS = frozenset(
    (
        *("index", "width", "height", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "comment"),
        *("comments", "note", "notes", "confidence", "source", "md5", "sha256", "url", "#", *FILE_COLUMNS),
    )
)
"""Columns that are not classes even where they hold 0 and 1."""

YES = frozenset(("1", "1.0", "1,0", "true", "t", "yes", "y", "x", "✓", "✔", "☑", "wahr", "ja", "vrai", "oui"))
NO = frozenset(("0", "0.0", "0,0", "false", "f", "no", "n", "falsch", "nein", "faux", "non", "☐"))
MINUS = frozenset(("-1", "-1.0", "-1,0"))
"""What cells of a class column may hold, in any case. A blank cell is a no where the table writes no other."""

_UNNAMED = re.compile(r"unnamed:_\d+(_level_\d+)?|")
_NUMBERED = re.compile(r"[_ ]?\d+$")


def column_name(header: str) -> str:
    """Return a header as it is compared.

    Example:
        >>> column_name(" Image Index"), column_name("file-name")
        ('image_index', 'file_name')
    """
    return re.sub(r"[\s-]+", "_", fold(header))


@dataclass(frozen=True)
class Columns:
    """Where things are in the rows of a table.

    Args:
        file: the column of the files.
        tags: columns of tags, or none where the classes have a column each.
        classes: those columns.
        split: column that says to which split a row belongs.
        confidence: column of 0 and 1 that says whether a row's tag holds.
        blank_is_no: whether a blank cell of a class column says that the class is absent.
        minus_is_no: the same of -1.
    """

    file: int
    tags: tuple[int, ...]
    classes: tuple[int, ...]
    split: int | None
    confidence: int | None
    blank_is_no: bool = False
    minus_is_no: bool = False

    @property
    def needed(self) -> int:
        """How many cells a row must have at least."""
        return 1 + max(self.file, *self.tags, *self.classes, self.split or 0, self.confidence or 0)


def cell_text(cell: object) -> str:
    """Return a cell as text without blanks at its ends, "" for JSON's null."""
    return "" if cell is None else str(cell).strip()


def find_columns(table: Table, problems: Problems) -> Columns:
    """Find the columns; those that are ignored are said.

    Raises:
        InputError: there is no column of files or of tags, or a header is missing or repeated.
    """
    names = [column_name(header) for header in table.header]
    written = ",".join(table.header)
    hint = f"{table.path}:1: the header is {written[:200]!r}; write file,tags or file and one column per class"
    file = _first(names, FILE_COLUMNS)
    if file is None or len(names) < 2:
        raise InputError(hint)
    split = _first(names, SPLIT_COLUMNS)
    values = {number: _values(table, number) for number in range(len(names)) if number not in (file, split)}
    used = {number: names[number] for number in values if values[number] or not _UNNAMED.fullmatch(names[number])}
    _check_headers(table, {**used, file: names[file]}, values)
    confidence = next((n for n, name in used.items() if name == "confidence" and values[n] <= YES | NO), None)
    tags = _tag_columns(used, values)
    classes = () if tags else _class_columns(used, values)
    if not tags and not classes:
        tags = _only_column(used, values)
        if not tags:
            raise InputError(hint)
        problems.taken("columns that hold the tags, for there is no other", table.header[tags[0]])
    ignored = [table.header[n] for n in used if n not in (*tags, *classes, confidence)]
    if ignored:
        problems.taken("columns that are ignored", ", ".join(header or "one without a name" for header in ignored))
    held = set().union(*(values[number] for number in classes)) if classes else set()
    blank = not held & (NO | MINUS)
    if other := held & (YES | NO | MINUS) - {"0", "1"}:
        words = ", ".join(sorted(other)[:6])
        problems.taken("tables with other words than 1 and 0 in the class columns", f"{table.path.name} has {words}")
    return Columns(file, tags, classes, split, confidence if tags else None, blank, not held & NO)


def _first(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _values(table: Table, column: int) -> set[str]:
    """Return the different cells of a column, folded, without the blank one."""
    found = {cell_text(row.cells[column]) for row in table.rows if len(row.cells) > column}
    return {fold(value) for value in found} - {""}


def _check_headers(table: Table, used: dict[int, str], values: dict[int, set[str]]) -> None:
    unnamed = [n for n, name in used.items() if not name and not _is_index(table, n)]
    if unnamed:
        raise InputError(f"{table.path}:1: column {unnamed[0] + 1} has an empty header; name it, or remove it")
    named = [name for name in used.values() if name]
    if len(set(named)) < len(named):
        twice = next(table.header[n] for n, name in used.items() if name and named.count(name) > 1)
        raise InputError(f"{table.path}:1: the header has a repeated column {twice!r}; name each once")


def _is_index(table: Table, column: int) -> bool:
    """Return whether a column holds whole numbers that count the rows."""
    texts = [cell_text(row.cells[column]) for row in table.rows if len(row.cells) > column]
    numbers = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 10]
    return len(numbers) == len([text for text in texts if text]) and len(set(numbers)) == len(numbers)


def _tag_columns(used: dict[int, str], values: dict[int, set[str]]) -> tuple[int, ...]:
    for known in TAG_COLUMNS:
        found = [n for n, name in used.items() if name == known or _NUMBERED.sub("", name) == known]
        exact = [n for n in found if used[n] == known]
        if found:
            return tuple(exact or found)
    choices = [n for n in used if any(value.startswith('{"choices"') for value in values[n])]
    return tuple(choices[:1])


def _class_columns(used: dict[int, str], values: dict[int, set[str]]) -> tuple[int, ...]:
    """Return the columns that may be classes: in which some cell says yes or no, or none says anything."""
    candidates = {
        n: values[n] for n, name in used.items() if name not in OTHER_COLUMNS and not _UNNAMED.fullmatch(name)
    }
    words = YES | NO | MINUS
    if not any(value & words for value in candidates.values()):
        return ()
    explicit = any(value & (NO | MINUS) for value in candidates.values())
    return tuple(n for n, value in candidates.items() if value & words or (not value and not explicit))


def _only_column(used: dict[int, str], values: dict[int, set[str]]) -> tuple[int, ...]:
    """Return the column that is left besides that of the files, if it is one and something is written in it."""
    left = [n for n, name in used.items() if name not in OTHER_COLUMNS and not _UNNAMED.fullmatch(name) and values[n]]
    return tuple(left) if len(left) == 1 else ()


def is_yes(cell: object, columns: Columns, where: str, header: str) -> bool:
    """Return whether a cell of a class column says that the class is there.

    Raises:
        InputError: it says something else, or nothing although other cells say no.
    """
    text = fold(cell_text(cell))
    if text in YES:
        return True
    if text in NO or (text in MINUS and columns.minus_is_no) or (not text and columns.blank_is_no):
        return False
    meaning = " (beside cells with 0 it is neither yes nor no)" if text in MINUS or not text else ""
    raise InputError(
        f"{where}: column {header!r} contains {cell_text(cell)[:60]!r}{meaning}; "
        "use one 0/1 column per class, or the header file,tags, and remove columns that are no classes"
    )
