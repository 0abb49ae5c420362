"""Hugging Face's imagefolder with masks: metadata.jsonl that names image, mask and tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affinitynet.data.image_files import find_image_files
from affinitynet.data.layouts.base import Layout, check_inside, read_lines
from affinitynet.data.layouts.found_images import ALL, FoundImages, default_split
from affinitynet.data.layouts.voc_annotations import class_numbers, read_class_list
from affinitynet.data.truth import PngMask
from affinitynet.errors import InputError, Problems
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "a Hugging Face imagefolder with masks (metadata.jsonl with file_name, mask_file_name, tags)"

_TABLE = "metadata.jsonl"
_MASK = "mask_file_name"
_HEAD = 2**16  # bytes


def recognise(folder: Path) -> Path | None:
    """Return the folder if a ``metadata.jsonl`` in it, or in one of its folders, names masks."""
    return folder if any(_names_masks(path) for path in _tables(folder)) else None


def _tables(folder: Path) -> list[Path]:
    return [path for path in (folder / _TABLE, *sorted(folder.glob(f"*/{_TABLE}"))) if path.is_file()]


def _names_masks(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return f'"{_MASK}"'.encode() in file.readline(_HEAD)
    except OSError:
        return False


@dataclass(frozen=True)
class _Row:
    """A line of a table: where it is, the image's key, its tags, and its mask if it names one."""

    where: Path
    key: str
    tags: frozenset[str]
    mask: Path | None


def read(root: Path, problems: Problems) -> Layout:
    """Read every table; the folder it is in is the split.

    Classes are in the order of ``labels.txt`` if it exists, else alphabetical.

    Raises:
        InputError: a table is not text, or no row has a tag; or a row is not as it should be, unless ``problems``
            records it.
    """
    tables = _tables(root)
    found = find_image_files(root)
    images = FoundImages(root, found.images)
    rows: dict[str, list[_Row]] = {}
    for table in tables:
        split = ALL if table.parent == root else table.parent.name
        rows[split] = []
        with problems.within(split):
            rows[split] = list(_rows(root, table, images, problems))
    listing = read_class_list(root, problems)
    tagged = sorted({name for listed in rows.values() for row in listed for name in row.tags})
    classes = listing.names if listing else tuple(tagged)
    if not classes or len(classes) > MAX_CLASSES:
        raise InputError(f"{tables[0]}: has {len(classes)} tags; write 1 to {MAX_CLASSES}")
    if listing is None and any(row.mask for listed in rows.values() for row in listed):
        problems.warn(
            f"{root}: no file says which mask value is which class; taken in alphabetical order (1 {classes[0]} ...); "
            "write labels.txt with one class per line, in the order of their values"
        )
    splits = {}
    for split, listed in rows.items():
        records = []
        with problems.within(split):
            for row in listed:
                with problems.noted(row.key, "row"):
                    tags = class_numbers(row.tags, classes, row.where, listing)
                    truth = PngMask(row.mask) if row.mask else None
                    records.append(TaggedImage(images.names[row.key], images.paths[row.key], tags, truth))
        splits[split] = tuple(records)
    used = {*tables, listing.path if listing else None}
    rest = tuple(other for other in found.passed_over if other.path not in used)
    return Layout(classes, splits, default_split(splits), rest)


def _rows(root: Path, table: Path, images: FoundImages, problems: Problems) -> Iterator[_Row]:
    seen: set[str] = set()
    near = table.parent.relative_to(root).as_posix()
    for number, line in enumerate(read_lines(table), start=1):
        if not line.strip():
            continue
        row, where = None, f"{table}:{number}"
        with problems.noted(f"line {number}", "row"):
            content = _parsed(line, where)
            name = content["file_name"]
            with problems.noted(name, "row"):
                key = images.find(name, where, problems, [] if near == "." else [near])
                if key in seen:
                    raise InputError(f"{where}: {name!r} already has a line; keep one")
                seen.add(key)
                row = _Row(table, key, _tags(content, where), _mask(content, table, where))
        if row is not None:
            yield row


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not readable JSON ({error}); fix it") from None
    if not isinstance(content, dict) or not isinstance(content.get("file_name"), str):
        raise InputError(f"{where}: has no file_name; add it")
    return content


def _tags(content: dict[str, Any], where: str) -> frozenset[str]:
    tags = content.get("tags", content.get("labels", []))
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        raise InputError(f'{where}: tags are not a list of names; write "tags": ["cat", "dog"]')
    return frozenset(tag.strip() for tag in tags)


def _mask(content: dict[str, Any], table: Path, where: str) -> Path | None:
    written = content.get(_MASK)
    if not written:
        return None
    if not isinstance(written, str):
        raise InputError(f"{where}: {_MASK} is not a name; fix it")
    check_inside(written, where)
    if not (table.parent / written).is_file():
        raise InputError(f"{where}: the mask {written!r} does not exist; add it or remove {_MASK}")
    return table.parent / written
