"""Class activation maps that another method made: which file belongs to an image, and what it holds.

SEAM, psa and MCTformer write ``NAME.npy`` with a pickled dictionary of class number -> map, IRNet and ReCAM one of
``keys``, ``cam`` and ``high_res``. Arrays and ``.npz`` files are read as well. Nothing is unpickled
(:mod:`affinitynet.data.pickled`).
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from affinitynet.data.pickled import read_plain
from affinitynet.errors import InputError, nearest, one_line
from affinitynet.files import LARGEST_ARRAYS, TORN
from affinitynet.records import ScoreMaps, TaggedImage

SUFFIXES = (".npy", ".npz")
SKEW = 1.1
"""Ratio by which the shape of a map may differ from its image's before it is noted: grids round."""


def find_maps(folder: Path, records: Iterable[TaggedImage]) -> dict[str, Path]:
    """Return name -> file of the activation maps of those images with tags that have one; the others need none.

    A file has the image's artifact name, or its file name if the method wrote all of them into one folder.

    Raises:
        InputError: there is no such folder.
    """
    held, tagged = _held(folder), [record for record in records if record.tags]
    flat = Counter(record.path.stem for record in tagged)
    found = {}
    for record in tagged:
        short = [record.path.name, record.path.stem] if flat[record.path.stem] == 1 else []
        names = (f"{name}{suffix}" for name in (record.name, *short) for suffix in SUFFIXES)
        path = next((held[name] for name in names if name in held), None)
        if path is not None:
            found[record.name] = path
    return found


def check_maps(folder: Path, records: Iterable[TaggedImage]) -> None:
    """Raise if an image with tags has no file of activation maps.

    Raises:
        InputError: one has none; the message names the nearest file.
    """
    tagged = [record for record in records if record.tags]
    found, held = find_maps(folder, tagged), _held(folder)
    missing = [record.name for record in tagged if record.name not in found]
    if missing and not held:
        raise InputError(f"--cams.from {folder}: holds no .npy or .npz file; name the folder with the activation maps")
    if missing:
        used = {path.relative_to(folder).as_posix() for path in found.values()}
        likely = nearest(f"{missing[0]}.npy", sorted(held.keys() - used or held))
        raise InputError(
            f"--cams.from {folder}: has no maps of {len(missing)} of {len(tagged)} images, e.g. {missing[0]}.npy "
            f"(the nearest is {likely}); add them, or take the images out of the collection"
        )


def _held(folder: Path) -> dict[str, Path]:
    """Return the files of maps below a folder, by their paths in it."""
    if not folder.is_dir():
        raise InputError(f"--cams.from {folder}: no such folder; name the one that holds the activation maps")
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES}


@dataclass
class Notes:
    """What was read tolerantly from many files of maps, each kind with its number and the first example."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Note one more of a kind."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def lines(self) -> list[str]:
        """Return a line for each kind.

        Example:
            >>> notes = Notes()
            >>> notes.add("maps stretched", "a.npy")
            >>> notes.lines()
            ['1 maps stretched, e.g. a.npy']
        """
        return [f"{count} {kind}, e.g. {self.examples[kind]}" for kind, count in self.counts.items()]


def read_score_maps(
    path: Path, tags: Sequence[int], classes: Sequence[str], size: tuple[int, ...], notes: Notes
) -> ScoreMaps:
    """Read the activation maps of an image from a file of another method.

    Maps are resized bilinearly to ``size``, negative values become 0, and a map that exceeds 1 is divided by its
    maximum. Those of classes that are not tags are dropped; a tag without a map gets one of zeros. All but the
    resizing is noted.

    Args:
        tags: 0-based class numbers, ascending.
        classes: names of all classes.
        size: (H, W) of the image as it is labelled.

    Raises:
        InputError: the file cannot be read, or holds no maps.
    """
    try:
        maps = _by_class(_content(path), tags, classes)
        stored = {number: _map(values) for number, values in maps.items()}
    except TORN as error:
        raise InputError(
            f"{path}: no activation maps ({one_line(error)}); write a dictionary of class number -> array [H, W]"
        ) from None
    for number in stored.keys() - set(tags):
        notes.add("maps of classes that are not tags, dropped", f"class {number} in {path.name}")
    rows = []
    for tag in tags:
        if tag not in stored:
            notes.add("tags without a map, which get no seeds", f"{classes[tag]} in {path.name}")
            rows.append(torch.zeros(tuple(size)))
        else:
            rows.append(_fitted(stored[tag], size, path.name, notes))
    return ScoreMaps(tuple(tags), torch.stack(rows) if rows else torch.zeros(0, *size))


def _fitted(stored: np.ndarray, size: tuple[int, ...], name: str, notes: Notes) -> torch.Tensor:
    """Return a map float32 [H, W] in [0, 1]."""
    skew = (stored.shape[0] * size[1]) / (stored.shape[1] * size[0])
    if min(stored.shape) > 1 and max(skew, 1 / skew) > SKEW:
        notes.add("maps whose shape is not their image's, stretched", name)
    values = torch.from_numpy(np.ascontiguousarray(stored, np.float32))
    if float(values.min()) < 0:
        notes.add("maps with negative values, set to 0", name)
        values = values.clamp(min=0)
    if float(values.max()) > 1:
        notes.add("maps above 1, divided by their maximum", name)
        values = values / values.max()
    if values.shape != tuple(size):
        values = F.interpolate(values[None, None], tuple(size), mode="bilinear", align_corners=False)[0, 0]
    return values.clamp(0, 1)


def _content(path: Path) -> Any:
    """Return what a file holds: an array, or a dictionary."""
    if path.stat().st_size > LARGEST_ARRAYS:
        raise ValueError("larger than 4 GB")
    if path.suffix == ".npy":
        return _stored(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST_ARRAYS:
            raise ValueError("it unpacks to more than 4 GB")
        members = {name.removesuffix(".npy"): _stored(archive.read(name)) for name in archive.namelist()}
    return next(iter(members.values())) if list(members) == ["arr_0"] else members


def _stored(content: bytes) -> Any:
    """Return what one ``.npy`` holds; a single object is returned itself, without being unpickled."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if not dtype.hasobject:
        return np.load(io.BytesIO(content), allow_pickle=False)
    held = read_plain(content[file.tell() :])
    return held[0] if isinstance(held, list) and len(held) == 1 else held


def _by_class(content: Any, tags: Sequence[int], classes: Sequence[str]) -> dict[int, Any]:
    """Return class number -> map of the forms a file may have."""
    if isinstance(content, Mapping):
        for named, held in (("keys", "high_res"), ("keys", "cam"), ("classes", "scores")):
            if named in content and held in content:
                numbers = [int(number) for number in np.asarray(content[named]).ravel()]
                return dict(zip(numbers, _stack(content[held]), strict=True))
        return {_class_number(key, classes): values for key, values in content.items()}
    maps = _stack(content)
    if len(maps) == len(classes):
        return {tag: maps[tag] for tag in tags}
    if len(maps) == len(tags):
        return dict(zip(tags, maps, strict=True))
    raise ValueError(f"{len(maps)} maps, but {len(classes)} classes and {len(tags)} tags")


def _class_number(key: Any, classes: Sequence[str]) -> int:
    """Return the number that a key of a dictionary stands for: a number, as such or in digits, or a class name."""
    if isinstance(key, str) and key in classes:
        return classes.index(key)
    if isinstance(key, bool) or not isinstance(key, (int, str)) or not str(key).isdecimal():
        raise ValueError(f"its key {str(key)[:30]!r} is not a class number")
    return int(key)


def _stack(content: Any) -> list[np.ndarray]:
    """Return the maps [K, h, w] one by one; one map [h, w] is one of them."""
    maps = np.asarray(content)
    if maps.ndim not in (2, 3) or maps.dtype.kind not in "fiub":
        raise ValueError(f"an array {maps.dtype} {list(maps.shape)}, not maps [K, H, W]")
    return list(maps[None] if maps.ndim == 2 else maps)


def _map(content: Any) -> np.ndarray:
    """Return one map, floating [h, w]."""
    values = np.squeeze(np.asarray(content))
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.size:
        raise ValueError(f"an array {values.dtype} {list(values.shape)}, not a map [H, W]")
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a map that holds NaN or infinity")
    return values
