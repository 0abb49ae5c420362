"""A plain folder: images anywhere below it, a table of tags, optional masks and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affinitynet.data.image_files import ImageFiles, PassedOver, find_image_files
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.mask_files import MaskFiles, drawn_folder, mask_folder
from affinitynet.data.layouts.names import FileNames, Name, artifact_names
from affinitynet.data.layouts.tables import TableFile, chosen_tables, find_tables
from affinitynet.data.layouts.tags import BACKGROUND_NAMES, Entries, Entry, read_entries
from affinitynet.data.layouts.text import fold, read_text_lines
from affinitynet.errors import InputError, Problems, did_you_mean
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "a folder with a table of tags (tags.csv, tags.xlsx, tags.json, labels.csv, metadata.csv ...)"

_UNTAGGED = "untagged"


@dataclass(frozen=True)
class _Rows:
    """What the tables say of the images.

    Args:
        tags: image key -> class names.
        splits: image key -> the split its rows name.
    """

    tags: dict[str, frozenset[str]]
    splits: dict[str, str]


def recognise(folder: Path) -> Path | None:
    """Return the folder if it has a table of tags, or its ``train``, ``valid`` and ``test`` have one each."""
    return folder if find_tables(folder) else None


def read(root: Path, problems: Problems, table: Path | None = None) -> Layout:
    """Read a folder of images with a table of tags.

    Classes are in the order of ``classes.txt`` if it exists, else of the columns of a one-hot table,
    else alphabetical. Splits are the lists ``splits/NAME.txt``, else those that a column ``split`` or the tables'
    folders name; without a ``train`` among them, the split ``all`` holds every image that has a row. An image
    whose row has no tag is a negative and belongs to the splits; one without a row is in the split ``untagged``
    only.

    Args:
        table: the table of tags, wherever it is; by default that in the folder.

    Raises:
        InputError: the table or a list is wrong as a whole; or one of its rows, unless ``problems`` records it.
    """
    tables = [TableFile(table)] if table is not None else chosen_tables(find_tables(root), problems)
    classes_file = root / "classes.txt"
    known = _listed_classes(classes_file, problems) if classes_file.is_file() else ()
    entries = read_entries(tables, known, problems)
    files = find_image_files(root)
    keys = {path.relative_to(root).as_posix(): path for path in files.images}
    keys = {key: path for key, path in keys.items() if _can_be_named(key, path, problems)}
    masks, drawn = (
        MaskFiles(root, *_masks_among(find(list(keys), root), list(keys), root, entries, problems))
        for find in (mask_folder, drawn_folder)
    )
    images = {key: path for key, path in keys.items() if key not in masks.unused and key not in drawn.unused}
    names = FileNames(root, images)
    rows = _match(entries, names, problems)
    classes = _class_order(tables[0].path, classes_file, known, rows, entries.columns)
    records = _records(images, rows, classes, (masks, drawn), problems)
    splits = _splits(root, names, records, rows, tables[0].path, problems)
    default = "train" if "train" in splits else "all"
    passed_over = (*_not_used(files, tables, root), *masks.passed_over(), *drawn.passed_over())
    return Layout(classes, splits, default, passed_over, f"a folder of images with the table {tables[0].path.name}")


def _can_be_named(key: str, path: Path, problems: Problems) -> bool:
    """Return whether an image may have artifacts of its name; if not, that is recorded."""
    if "\\" not in key:
        return True
    with problems.noted(key, "image"):
        raise InputError(f"{path}: a backslash in a name is a folder's end on other systems; rename the file")
    return False


def _masks_among(
    folder: str | None, keys: list[str], root: Path, entries: Entries, problems: Problems
) -> tuple[str | None, list[str]]:
    """Return a folder of masks and the files in it; one whose files have rows holds images."""
    if folder is None:
        return None, []
    inside = [key for key in keys if key.startswith(f"{folder}/")]
    named = [row for row in entries.rows if f"{fold(folder)}/" in fold(row.written.replace("\\", "/"))]
    found = FileNames(root, inside).match([_name(row) for row in named], Problems("skip"))
    if any(key is not None for key in found):
        example = next(row.written for row, key in zip(named, found, strict=True) if key is not None)
        problems.taken(f"folders called {folder} that hold images and no ground truth, for rows name them", example)
        return None, []
    return folder, inside


def _name(row: Entry) -> Name:
    return Name(row.written, row.where, row.base)


def _match(entries: Entries, names: FileNames, problems: Problems) -> _Rows:
    """Return what is said of every image; rows of one image are put together unless they contradict each other."""
    rows = _Rows({}, {})
    matched = names.match([_name(row) for row in entries.rows], problems)
    unknown = {key for row, key in zip(entries.rows, matched, strict=True) if row.tags is None and key is not None}
    for row, key in zip(entries.rows, matched, strict=True):
        if key is None or key in unknown:
            continue
        with problems.noted(row.written, "row"):
            _add(rows, row, key, frozenset(row.tags or ()), problems)
    return rows


def _add(rows: _Rows, row: Entry, key: str, tags: frozenset[str], problems: Problems) -> None:
    before = rows.tags.get(key)
    if before is None:
        rows.tags[key] = tags
    elif before == tags or (tags and not row.one_hot and tags <= before):
        problems.taken("rows that repeat one before, which is enough", row.written)
    elif before and tags and not row.one_hot:
        problems.taken(
            "further rows of an image, whose tags are put together", f"{row.written} is {_said(before, tags)}"
        )
        rows.tags[key] = before | tags
    else:
        raise InputError(
            f"{row.where}: {row.written!r} already has a row, which says {' and '.join(sorted(before)) or 'no tag'} "
            f"and not {' and '.join(sorted(tags)) or 'no tag'}; keep the right one"
        )
    if row.split is not None and rows.splits.setdefault(key, row.split) != row.split:
        raise InputError(f"{row.where}: {row.written!r} is already in split {rows.splits[key]!r}; keep it in one")


def _said(before: frozenset[str], tags: frozenset[str]) -> str:
    return " and ".join(sorted(before | tags))


def _listed_classes(listing: Path, problems: Problems) -> tuple[str, ...]:
    """Return the classes of ``classes.txt``; a first line for the background stands for no class."""
    names = [line for line in read_text_lines(listing, problems) if line]
    if names and fold(names[0]) in BACKGROUND_NAMES:
        problems.taken("names for the background at the head of classes.txt, which is no class", names.pop(0))
    if wrong := [name for name in names if fold(name) in BACKGROUND_NAMES]:
        raise InputError(f"{listing}: {wrong[0]!r} is not a class, every mask has it as value 0; remove the line")
    if len({fold(name) for name in names}) < len(names):
        raise InputError(f"{listing}: names a class twice; keep one line per class")
    return tuple(names)


def _class_order(
    path: Path, listing: Path, known: tuple[str, ...], rows: _Rows, columns: tuple[str, ...] | None
) -> tuple[str, ...]:
    tagged: set[str] = set().union(*rows.tags.values())
    if not tagged:
        raise InputError(f"{path}: no image has any tag; tag some of them")
    classes = known or columns or tuple(sorted(tagged))
    if missing := sorted(tagged - set(classes)):
        raise InputError(
            f"{path}: tag {missing[0]!r} is not in {listing}; add it there or fix the tag "
            f"{did_you_mean(missing[0], classes)}"
        )
    if len(classes) > MAX_CLASSES:
        raise InputError(f"{path}: {len(classes)} classes; an 8-bit mask has room for {MAX_CLASSES}; use fewer")
    return classes


def _records(
    images: Mapping[str, Path],
    rows: _Rows,
    classes: tuple[str, ...],
    masks: tuple[MaskFiles, MaskFiles],
    problems: Problems,
) -> dict[str, TaggedImage]:
    names = artifact_names(list(images), problems)
    truth, drawn = (files.assign(list(images), problems) for files in masks)
    numbers = {name: number for number, name in enumerate(classes)}
    return {
        key: TaggedImage(
            names[key],
            path,
            tuple(sorted(numbers[name] for name in rows.tags.get(key, ()))),
            truth.get(key),
            drawn=drawn.get(key),
        )
        for key, path in images.items()
    }


def _splits(
    root: Path, names: FileNames, records: Mapping[str, TaggedImage], rows: _Rows, table: Path, problems: Problems
) -> dict[str, tuple[TaggedImage, ...]]:
    """Return the splits of the lists, else those of the rows."""
    lists = sorted(path for path in (root / "splits").glob("*") if path.suffix.lower() == ".txt")
    splits: dict[str, tuple[TaggedImage, ...]] = {path.stem: () for path in lists}
    for path in lists:
        with problems.within(path.stem):
            splits[path.stem] = tuple(records[key] for key in _read_split(path, names, rows, table, problems))
    if rows.splits and lists:
        problems.warn(f"{table.name} names splits too, but the lists in splits/ count; remove one of both")
    elif rows.splits:
        members: dict[str, list[TaggedImage]] = {}
        for key in sorted(rows.splits):
            members.setdefault(rows.splits[key], []).append(records[key])
        splits = {name: tuple(members[name]) for name in sorted(members)}
    if "train" not in splits:
        splits.setdefault("all", tuple(records[key] for key in sorted(rows.tags)))
    elif not lists and (without := [key for key in rows.tags if key not in rows.splits]):
        problems.warn(f"{len(without)} images with tags are in no split, for example {without[0]}; name theirs")
    if untagged := tuple(record for key, record in records.items() if key not in rows.tags):
        splits.setdefault(_UNTAGGED, untagged)
    return splits


def _read_split(path: Path, names: FileNames, rows: _Rows, table: Path, problems: Problems) -> list[str]:
    """Return the image keys of a split file, which has one file name per line."""
    lines = [
        Name(line, f"{path}:{number}") for number, line in enumerate(read_text_lines(path, problems), start=1) if line
    ]
    keys: dict[str, None] = {}
    for line, key in zip(lines, names.match(lines, problems), strict=True):
        if key is None:
            continue
        with problems.noted(line.written, "row"):
            if key not in rows.tags:
                raise InputError(
                    f"{line.where}: {line.written!r} has no row with tags in {table.name}; "
                    "add it (a blank cell says that none of the classes is in the image), or remove the line"
                )
            if key in keys:
                problems.taken("lines that repeat one before in a list", f"{path.name} has {line.written} twice")
            keys[key] = None
    return list(keys)


def _not_used(files: ImageFiles, tables: Sequence[TableFile], root: Path) -> tuple[PassedOver, ...]:
    """Return the files that are not used as images, without those that describe the collection."""
    described = {table.path for table in tables} | {root / "classes.txt"}
    return tuple(
        passed for passed in files.passed_over if passed.path not in described and passed.path.parent != root / "splits"
    )
