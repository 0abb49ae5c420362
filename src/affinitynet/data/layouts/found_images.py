"""The images below a folder, by the names that annotation files write for them; and splits that are folders."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from affinitynet.data.layouts.base import check_inside
from affinitynet.errors import InputError, Problems
from affinitynet.records import TaggedImage

Record = TypeVar("Record")

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder name (lower case) -> the split that it is."""

ALL = "all"
UNTAGGED = "untagged"
TAKEN = "names that are written differently from their files"


class FoundImages:
    """Image files below a folder, each with a key: its path below the folder with ``/``.

    Args:
        root: the folder.
        paths: files below it.

    Attributes:
        root: the folder.
        paths: key -> file.
        names: key -> artifact name: the key without a leading ``images/`` and, where that stays unique, without suffix.
    """

    def __init__(self, root: Path, paths: Iterable[Path]) -> None:
        self.root = root
        self.paths = {path.relative_to(root).as_posix(): path for path in paths}
        self.names = artifact_names(self.paths)
        self._by_stem: dict[str, list[str]] = {}
        for key in self.paths:
            self._by_stem.setdefault(_folded(PurePosixPath(key).stem), []).append(key)

    def find(self, written: str, where: str, problems: Problems, near: Sequence[str] = ()) -> str:
        """Return the key of the image that a name means.

        The name is looked up exactly in the folders ``near`` and in the root; then the file counts whose name is the
        same but for upper and lower case, composition of letters, suffix and leading folders, if there is just one.

        Args:
            written: the name as it is written.
            where: file and place that wrote it, for errors.
            near: folders below the root, the likeliest first.

        Raises:
            InputError: there is no such image, several may be meant, or the name leads outside the folder.
        """
        name = PurePosixPath(written.replace("\\", "/")).as_posix()
        for folder in (*near, ""):
            if (key := f"{folder}/{name}" if folder else name) in self.paths:
                return key
        found = self._alike(name, near)
        if not found:
            check_inside(written, where)
            raise InputError(f"{where}: the image {written!r} does not exist; add it or remove what names it")
        if len(found) > 1:
            raise InputError(f"{where}: {written!r} may be {' or '.join(sorted(found)[:3])}; write the path in full")
        if found[0] != name and not found[0].endswith(f"/{name}"):
            problems.taken(TAKEN, f"{written} is {found[0]}")
        return found[0]

    def stem(self, stem: str, folders: Sequence[str]) -> list[str]:
        """Return the keys of the images of this name without suffix in the first of the folders that has any.

        ``**`` as a folder means anywhere.
        """
        known = self._by_stem.get(_folded(PurePosixPath(stem).name), [])
        exact = [key for key in known if PurePosixPath(key).stem == PurePosixPath(stem).name] or known
        for folder in folders:
            found = exact if folder == "**" else [key for key in exact if _folder_of(key) == folder]
            if found:
                return found
        return []

    def _alike(self, name: str, near: Sequence[str]) -> list[str]:
        """Return the keys that a name may mean: those that share most of its path, and then the likeliest folder."""
        path = PurePosixPath(name)
        known = self._by_stem.get(_folded(path.stem)) or self._by_stem.get(_folded(path.name), [])
        same = [key for key in known if PurePosixPath(key).suffix.lower() == path.suffix.lower()] or known
        shared = {key: _shared_tail(key, name) for key in same}
        best = [key for key, count in shared.items() if count == max(shared.values())]
        for folder in near if len(best) > 1 else ():
            if inside := [key for key in best if key.startswith(f"{folder}/")]:
                return inside
        return best


def artifact_names(keys: Collection[str]) -> dict[str, str]:
    """Return key -> artifact name, unique.

    Example:
        >>> artifact_names(["images/a.png", "b/c.jpg", "d.jpg", "d.png"])
        {'images/a.png': 'a', 'b/c.jpg': 'b/c', 'd.jpg': 'd.jpg', 'd.png': 'd.png'}
    """
    stems = {key: PurePosixPath(key).with_suffix("").as_posix() for key in keys}
    for make in (lambda name: name.removeprefix("images/"), str):
        counts = Counter(map(make, stems.values()))
        names = {key: make(stem if counts[make(stem)] == 1 else key) for key, stem in stems.items()}
        if len(set(names.values())) == len(names):
            return names
    return {key: key for key in keys}


def split_of(key: str) -> str | None:
    """Return the split whose folder an image lies in: the first folder of its path that is named like one.

    Example:
        >>> split_of("images/Validation/1.jpg"), split_of("cats/1.jpg")
        ('val', None)
    """
    parts = (SPLIT_FOLDERS.get(part.lower()) for part in PurePosixPath(key).parent.parts)
    return next((split for split in parts if split), None)


def by_split(items: Iterable[tuple[str, Record]]) -> dict[str, tuple[Record, ...]]:
    """Return split -> records of (key, record), by the folders they are in; "all" for those in none."""
    splits: dict[str, list[Record]] = {}
    for key, record in items:
        splits.setdefault(split_of(key) or ALL, []).append(record)
    return {name: tuple(records) for name, records in splits.items()}


def default_split(splits: Mapping[str, object]) -> str:
    """Return the split to train on: one called train, one whose name begins so, "all", or the first.

    Example:
        >>> default_split({"val2017": 1, "train2017": 2})
        'train2017'
    """
    ways = (lambda n: SPLIT_FOLDERS.get(n) == "train", lambda n: n.startswith("train"), lambda n: n == ALL)
    return next((name for way in ways for name in splits if way(name.lower())), next(iter(splits)))


def with_untagged(
    splits: Mapping[str, tuple[TaggedImage, ...]], images: FoundImages
) -> dict[str, tuple[TaggedImage, ...]]:
    """Return the splits and, if there are any, the images that are in none of them as "untagged"."""
    known = {record.path for records in splits.values() for record in records}
    rest = tuple(_untagged(images, known))
    return {**splits, **({UNTAGGED: rest} if rest else {})}


def _untagged(images: FoundImages, known: set[Path]) -> Iterator[TaggedImage]:
    for key, path in images.paths.items():
        if path not in known:
            yield TaggedImage(images.names[key], path)


def _folder_of(key: str) -> str:
    return "" if "/" not in key else key.rpartition("/")[0]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shared_tail(key: str, name: str) -> int:
    """Return how many folders two paths share, counted from the file."""
    count = 0
    folders = zip(key.split("/")[-2::-1], name.split("/")[-2::-1], strict=False)
    for mine, theirs in folders:
        if _folded(mine) != _folded(theirs):
            break
        count += 1
    return count
