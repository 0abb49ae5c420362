"""A COCO JSON file as compact arrays: a file with a million outlines opens in seconds and in little memory."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.data.json_stream import JsonStream, Piece
from affinitynet.errors import InputError

KEYS = ("images", "annotations", "categories")
_IMAGE, _CATEGORY, _CROWD = (
    re.compile(rf'"{key}"\s*:\s*(\d{{1,18}})\s*[,}}]').search for key in ("image_id", "category_id", "iscrowd")
)
_SEGMENTATION = re.compile(r'"segmentation"\s*:\s*(\[\s*\[|.)')
_CORNERS = 4  # of a box that is written as an outline


@dataclass
class CocoImage:
    """An entry of ``images``.

    Args:
        file_name: as it is written.
        size: (H, W), if the file says so.
    """

    file_name: str
    size: tuple[int, int] | None


@dataclass
class CocoFile:
    """What a COCO file lists.

    Images and categories are numbered in the order in which their ids are first seen.

    Args:
        path: of the file.
        images: number -> entry; ``None`` where annotations have an id that no image has.
        categories: number -> name; ``None`` likewise.
        image, category: int32 [N], numbers of each annotation's image and category.
        crowd, outlined: bool [N], whether it is a crowd, and whether it has an outline or run lengths.
        starts: int64 [N], byte offset of each annotation.
        lengths: int32 [N], its size in bytes.
        boxes: how many outlines are upright rectangles.
        wrong: entries that are not as they should be: what is said of each.
    """

    path: Path
    images: list[CocoImage | None] = field(default_factory=list)
    categories: list[str | None] = field(default_factory=list)
    image: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    category: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    crowd: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    outlined: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    image_ids: list[Any] = field(default_factory=list)
    category_ids: list[Any] = field(default_factory=list)
    boxes: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def is_coco(path: Path) -> bool:
    """Return whether a JSON file lists images and annotations as COCO does, from its beginning."""
    try:
        with path.open("rb") as file:
            return any(key in KEYS and next(pieces, None) is not None for key, pieces in JsonStream(file, path))
    except (OSError, InputError):
        return False


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file.

    Raises:
        InputError: it is not readable JSON, or lists no images.
    """
    reading = _Reading(path)
    try:
        with path.open("rb") as file:
            for key, pieces in JsonStream(file, path):
                if key == "images":
                    reading.images(pieces)
                elif key == "categories":
                    reading.categories(pieces)
                elif key == "annotations":
                    reading.annotations(pieces)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return reading.finished()


class _Reading:
    def __init__(self, path: Path) -> None:
        self.found = CocoFile(path)
        self._image_numbers: dict[Any, int] = {}
        self._category_numbers: dict[Any, int] = {}
        self._columns = {name: array(code) for name, code in _COLUMNS.items()}

    def images(self, pieces: Iterator[Piece]) -> None:
        for piece in pieces:
            entry = _value(piece)
            number = self._image(entry.get("id"))
            name, height, width = entry.get("file_name"), entry.get("height"), entry.get("width")
            where = f"{self.found.path}: images, byte {piece.start}"
            if number is None or not isinstance(name, str) or not name.strip():
                self.found.wrong.append((str(entry.get("id")), f"{where}: has no id or file_name; add it"))
            elif self.found.images[number] is not None:
                self.found.wrong.append((name, f"{where}: {name!r} has an id that another image has; fix it"))
            else:
                size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
                self.found.images[number] = CocoImage(name, size if size and min(size) > 0 else None)

    def categories(self, pieces: Iterator[Piece]) -> None:
        for piece in pieces:
            entry = _value(piece)
            number, name = self._category(entry.get("id")), entry.get("name")
            if number is None or not isinstance(name, str) or not name.strip():
                raise InputError(f"{self.found.path}: categories, byte {piece.start}: has no id or name; add it")
            if self.found.categories[number] is not None:
                raise InputError(f"{self.found.path}: two categories have the id {entry['id']}; fix it")
            self.found.categories[number] = " ".join(name.split())

    def annotations(self, pieces: Iterator[Piece]) -> None:
        add_image, add_category, add_crowd, add_outlined, add_start, add_length = (
            column.append for column in self._columns.values()
        )
        images, categories = self._image_numbers, self._category_numbers
        for piece in pieces:
            image_id, category_id, crowd, outlined, box = _fields(piece)
            image, category = images.get(image_id), categories.get(category_id)
            if image is None or category is None:  # an id that is new, or is none
                image, category = self._image(image_id), self._category(category_id)
            if image is None or category is None:
                where = f"{self.found.path}: annotations, byte {piece.start}"
                self.found.wrong.append(
                    (f"annotation {piece.start}", f"{where}: has no image_id or category_id; add it")
                )
                continue
            add_image(image)
            add_category(category)
            add_crowd(crowd)
            add_outlined(outlined)
            add_start(piece.start)
            add_length(len(piece.text))
            self.found.boxes += box

    def finished(self) -> CocoFile:
        found = self.found
        if not any(found.images):
            raise InputError(f"{found.path}: lists no images; export it again with its images")
        for name, column in self._columns.items():
            setattr(found, name, np.frombuffer(column, _TYPES[name]) if column else np.zeros(0, _TYPES[name]))
        found.image_ids, found.category_ids = list(self._image_numbers), list(self._category_numbers)
        return found

    def _image(self, key: Any) -> int | None:
        return _number(key, self._image_numbers, self.found.images)

    def _category(self, key: Any) -> int | None:
        return _number(key, self._category_numbers, self.found.categories)


_COLUMNS = {"image": "i", "category": "i", "crowd": "b", "outlined": "b", "starts": "q", "lengths": "i"}
_TYPES = {
    "image": np.int32,
    "category": np.int32,
    "crowd": np.bool_,
    "outlined": np.bool_,
    "starts": np.int64,
    "lengths": np.int32,
}


def _number(key: Any, known: dict[Any, int], entries: list) -> int | None:
    """Return the number of an id, a new one if it is new; ``None`` if it is not an id."""
    number = known.get(key) if isinstance(key, int | str) else -1
    if number == -1:
        return None
    if number is None:
        number = known[key] = len(entries)
        entries.append(None)
    return number


def _value(piece: Piece) -> dict:
    try:
        value = piece.value()
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def _fields(piece: Piece) -> tuple[Any, Any, bool, bool, bool]:
    """Return an annotation's image_id, category_id, whether it is a crowd, is outlined, and is a box.

    The outline is not parsed here: it is most of the file, and read when the mask is.
    """
    text = piece.text
    image, category = _IMAGE(text), _CATEGORY(text)
    if text.find("{", 1) == -1 and "\\" not in text and image and category:
        is_crowd = _CROWD(text)
        crowd = bool(is_crowd and int(is_crowd[1]))
        found = _SEGMENTATION.search(text)
        outlined = bool(found and found[1].startswith("[") and len(found[1]) > 1)
        return int(image[1]), int(category[1]), crowd, outlined, outlined and _is_box(text, found)
    entry = _value(piece)
    outlined = bool(entry.get("segmentation"))
    ids = (entry.get(key) for key in ("image_id", "category_id"))
    image_id, category_id = (key if isinstance(key, int | str) else None for key in ids)
    return image_id, category_id, bool(entry.get("iscrowd")), outlined, False


def _is_box(text: str, found: re.Match | None) -> bool:
    """Return whether the only outline is an upright rectangle."""
    start = found.end() if found else 0
    end = text.find("]", start)
    if text.count(",", start, end) != 2 * _CORNERS - 1 or text[end + 1 :].lstrip()[:1] != "]":
        return False
    numbers = [number.strip() for number in text[start:end].split(",")]
    return len(set(numbers[::2])) == len(set(numbers[1::2])) == 2
