"""A plain folder: images anywhere below it, ``tags.csv`` or ``tags.json``, optional masks and splits."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from affinitynet.data.image_files import ImageFiles, find_image_files
from affinitynet.data.layouts.base import Layout, check_inside, read_lines
from affinitynet.data.truth import PngMask
from affinitynet.errors import InputError, Problems
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "a folder with tags.csv or tags.json"
TAG_FILES = ("tags.csv", "tags.json")
"""The first that exists is read."""


@dataclass(frozen=True)
class _Tags:
    """The content of a tag file.

    Args:
        rows: (file and line, image name as written, class names) of every row.
        columns: class names in the order of a one-hot file's columns, else ``None``.
    """

    rows: list[tuple[str, str, frozenset[str]]]
    columns: tuple[str, ...] | None = None


class _Images:
    """The image files below a folder, found by the names that people write for them."""

    def __init__(self, files: ImageFiles) -> None:
        relative = ((path.relative_to(files.root), path) for path in files.images)
        self.paths = {name.as_posix(): path for name, path in relative if name.parts[0] != "masks"}
        stems = Counter(_stem(name) for name in self.paths)
        self.names = {name: _below_images(_stem(name) if stems[_stem(name)] == 1 else name) for name in self.paths}
        clashes = Counter(self.names.values())
        self.names = {key: name if clashes[name] == 1 else _stem(key) for key, name in self.names.items()}
        self._by_name: dict[str, list[str]] = {}
        for key in self.paths:
            for written in {key, _stem(key), _below_images(key), _stem(_below_images(key))}:
                self._by_name.setdefault(written, []).append(key)

    def find(self, written: str, where: str) -> str | None:
        """Return the key of the image that a name refers to, ``None`` if there is none.

        Raises:
            InputError: the name leads outside the folder, or it could refer to several images.
        """
        check_inside(written, where)
        written = PurePosixPath(written.replace("\\", "/")).as_posix()
        found = [written] if written in self.paths else self._by_name.get(written, [])
        if len(found) > 1:
            raise InputError(f"{where}: {written!r} may be {' or '.join(found)}; write the name with its extension")
        return found[0] if found else None


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _below_images(name: str) -> str:
    return name.removeprefix("images/")


def recognise(folder: Path) -> Path | None:
    """Return the folder if it has a tag file."""
    return folder if any((folder / name).exists() for name in TAG_FILES) else None


def read(root: Path, problems: Problems) -> Layout:
    """Read a folder of images with ``tags.csv`` or ``tags.json``.

    Classes are in the order of ``classes.txt`` if it exists, else of the columns of a one-hot file,
    else alphabetical. Splits are the lists ``splits/NAME.txt``; without a ``train.txt`` among them, the
    split ``all`` holds every image that has a row. An image whose row has no tag is a negative and
    belongs to the splits; one without a row is in the split ``untagged`` only.

    Raises:
        InputError: the tag file or a list is wrong as a whole; or one of its rows, unless ``problems`` records it.
    """
    path = next(root / name for name in TAG_FILES if (root / name).exists())
    tags = _read_csv(path, problems) if path.suffix == ".csv" else _read_json(path, problems)
    files = find_image_files(root)
    images = _Images(files)
    rows = _match(tags, images, path, problems)
    classes = _class_order(root, path, set().union(*rows.values()), tags.columns)
    records = {
        key: TaggedImage(
            images.names[key],
            images.paths[key],
            tuple(sorted(classes.index(name) for name in rows.get(key, ()))),
            _truth_of(root, key),
        )
        for key in images.paths
    }
    splits = {
        listing.stem: tuple(records[key] for key in _read_split(listing, images, rows, path, problems))
        for listing in sorted((root / "splits").glob("*.txt"))
    }
    if "train" not in splits:
        splits.setdefault("all", tuple(records[key] for key in sorted(rows)))
    if untagged := tuple(record for key, record in records.items() if key not in rows):
        splits.setdefault("untagged", untagged)
    return Layout(classes, splits, "train" if "train" in splits else "all", files.passed_over)


def _truth_of(root: Path, key: str) -> PngMask | None:
    """Return ``masks/`` + the image's path as PNG, with or without a leading ``images/``."""
    candidates = (root / "masks" / f"{_stem(name)}.png" for name in (key, _below_images(key)))
    return next((PngMask(path) for path in candidates if path.is_file()), None)


def _match(tags: _Tags, images: _Images, path: Path, problems: Problems) -> dict[str, frozenset[str]]:
    """Return image key -> class names of every row of the tag file whose image exists."""
    rows: dict[str, frozenset[str]] = {}
    for where, written, names in tags.rows:
        with problems.noted(written, "row"):
            key = images.find(written, where)
            if key is None:
                raise InputError(f"{where}: no image {written!r} below {path.parent}; fix the row or add the image")
            if key in rows:
                raise InputError(f"{where}: {written!r} already has a row; keep one row per image")
            rows[key] = names
    return rows


def _class_order(root: Path, path: Path, tagged: set[str], columns: tuple[str, ...] | None) -> tuple[str, ...]:
    if not tagged:
        raise InputError(f"{path}: no image has any tag; tag some of them")
    listing = root / "classes.txt"
    if listing.exists():
        classes = tuple(line.strip() for line in read_lines(listing) if line.strip())
        if len(set(classes)) < len(classes):
            raise InputError(f"{listing}: names a class twice; keep one line per class")
    else:
        classes = columns or tuple(sorted(tagged))
    if missing := sorted(tagged - set(classes)):
        raise InputError(f"{path}: tag {missing[0]!r} is not in {listing}; add it there or fix the tag")
    if len(classes) > MAX_CLASSES:
        raise InputError(f"{path}: {len(classes)} classes; an 8-bit mask has room for {MAX_CLASSES}; use fewer")
    return classes


def _read_split(path: Path, images: _Images, rows: dict, tag_file: Path, problems: Problems) -> list[str]:
    """Return the image keys of a split file, which has one file name per line."""
    keys = []
    for number, line in enumerate(map(str.strip, read_lines(path)), start=1):
        if not line:
            continue
        where = f"{path}:{number}"
        with problems.noted(line, "row"):
            key = images.find(line, where)
            if key is None:
                raise InputError(f"{where}: no image {line!r} below {tag_file.parent}; fix or remove the line")
            if key not in rows:
                raise InputError(f"{where}: {line!r} has no row in {tag_file.name}; add one (tags may be empty)")
            keys.append(key)
    return list(dict.fromkeys(keys))


def _read_csv(path: Path, problems: Problems) -> _Tags:
    """Read ``file,tags`` with tags separated by ``;``, or ``file`` and one 0/1 column per class."""
    lines = read_lines(path)
    header = lines[0] if lines else ""
    delimiter = next((d for d in (",", "\t", ";") if d in header), ",")
    try:
        table = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: not a readable table ({error}); save it as CSV again") from None
    columns = [name.strip() for name in table[0]] if table else []
    if len(columns) < 2 or columns[0].lower() not in ("file", "filename", "image"):
        raise InputError(f"{path}:1: the header is {header!r}; write file,tags or file and one column per class")
    if len(set(columns)) < len(columns) or not all(columns):
        raise InputError(f"{path}:1: the header has an empty or repeated column; name each once")
    one_hot = [c.lower() for c in columns[1:]] != ["tags"]
    rows = []
    for number, cells in enumerate(table[1:], start=2):
        where = f"{path}:{number}"
        if not any(cell.strip() for cell in cells):
            continue
        with problems.noted(cells[0].strip(), "row"):
            if len(cells) != len(columns):
                raise InputError(f"{where}: {len(cells)} cells under {len(columns)} columns; fix the row")
            names = _one_hot(columns, cells, where) if one_hot else _split_tags(cells[1])
            rows.append((where, cells[0].strip(), names))
    return _Tags(rows, tuple(columns[1:]) if one_hot else None)


def _split_tags(cell: str) -> frozenset[str]:
    return frozenset(tag.strip() for tag in cell.split(";") if tag.strip())


def _one_hot(columns: list[str], cells: list[str], where: str) -> frozenset[str]:
    names = set()
    for column, cell in zip(columns[1:], cells[1:], strict=True):
        if cell.strip() not in ("0", "1"):
            raise InputError(
                f"{where}: column {column!r} contains {cell!r}; use one 0/1 column per class, or the header file,tags"
            )
        if cell.strip() == "1":
            names.add(column)
    return frozenset(names)


def _read_json(path: Path, problems: Problems) -> _Tags:
    """Read ``{"file": ["tag", ...]}``."""
    try:
        content = json.loads("\n".join(read_lines(path)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); fix it") from None
    rows = []
    for written, names in content.items() if isinstance(content, dict) else [("", None)]:
        with problems.noted(written, "row"):
            if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
                raise InputError(f'{path}: {written!r} is not a list of tags; write {{"photo.jpg": ["cat", "dog"]}}')
            rows.append((str(path), written, frozenset(name.strip() for name in names)))
    return _Tags(rows)
