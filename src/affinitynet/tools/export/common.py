"""The images and masks of a work folder, from which every format is written."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from affinitynet.data.corrections import Corrections
from affinitynet.data.images import image_size, load_tagged
from affinitynet.errors import InputError, Problems
from affinitynet.files import atomic_file
from affinitynet.records import BACKGROUND, IGNORE, Instances, TaggedImage
from affinitynet.runtime.progress import Progress
from affinitynet.work.artifacts import Artifacts

_ORIENTATION = 274  # EXIF tag
_COPIED = {"JPEG": ".jpg", "PNG": ".png"}  # formats that every tool reads
_QUALITY = 95
_PNG_DEPTH = 24  # the byte of a PNG file that holds the bits of a channel


@dataclass(frozen=True)
class LabelledImages:
    """Images with their masks.

    Args:
        classes: names; class c has mask value c + 1.
        splits: name -> images; the first split is the one that was trained on.
        masks: by the images' names.
        progress: shows progress.
        instances: the objects of images that have some told apart, by the same names; ``None``: there are none.
        corrections: what people said of single images; a mask of theirs takes the place of the one that was found.
        problems: takes what the user should know of how a format was written.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[TaggedImage, ...]]
    masks: Artifacts[np.ndarray]
    progress: Progress
    problems: Problems = field(default_factory=Problems)
    instances: Artifacts[Instances] | None = None
    corrections: Corrections | None = None

    def __iter__(self) -> Iterator[tuple[str, TaggedImage, np.ndarray]]:
        """Yield (split, image, mask uint8 [H, W]); an image in two splits is yielded twice."""
        with self.progress.bar("export", sum(map(len, self.splits.values()))) as advance:
            for split, records in self.splits.items():
                for record in records:
                    corrected = self._corrected(record)
                    yield split, record, self.masks.load(record.name) if corrected is None else corrected
                    advance()

    def objects(self, record: TaggedImage) -> Instances | None:
        """Return the objects of an image, if they were told apart."""
        if not self.instances or record.name not in self.instances or self._corrected(record) is not None:
            return None
        return self.instances.load(record.name)

    def _corrected(self, record: TaggedImage) -> np.ndarray | None:
        mask = None if self.corrections is None else self.corrections.mask(record.name, self.classes)
        if mask is None or mask.shape == image_size(record.path):
            return mask
        self.problems.warn(
            f"{record.name}: its correction is not of its size, so it has the mask of the run; correct it again"
        )
        return None

    def names(self, safe: Callable[[str], str], reason: str) -> dict[str, str]:
        """Return the name that each image is written under.

        Args:
            safe: an image's name -> one that the other tool reads.
            reason: why names are changed, for the user.
        """
        given = dict.fromkeys(record.name for records in self.splits.values() for record in records)
        return renamed(given, safe, f"image names changed, because {reason}", self.problems)


def renamed(names: Iterable[str], safe: Callable[[str], str], rule: str, problems: Problems) -> dict[str, str]:
    """Change the names that another tool would misread, and keep all of them different.

    Args:
        rule: what is said about the changed ones.

    Example:
        >>> problems = Problems()
        >>> renamed(["a/b", "a_b", "c"], lambda name: name.replace("/", "_"), "names changed", problems)
        {'a/b': 'a_b-2', 'a_b': 'a_b', 'c': 'c'}
        >>> problems.remarks[0].text
        'names changed: a/b is a_b-2'
    """
    names = tuple(names)
    taken = {name for name in names if safe(name) == name}
    result = {}
    for name in names:
        new, number = safe(name), 2
        while new != name and new in taken:
            new, number = f"{safe(name)}-{number}", number + 1
        if new != name:
            problems.taken(rule, f"{name} is {new}")
        taken.add(new)
        result[name] = new
    return result


def write_image(record: TaggedImage, target: Path, only_jpeg: bool = False) -> Path:
    """Write an image so that other tools see it as its mask does: upright, 8 bit, RGB.

    A JPEG or PNG that already is like that is copied byte for byte.

    Args:
        target: path without suffix; the suffix is appended.

    Returns:
        The path written.
    """
    suffix = _plain_suffix(record.path)
    if suffix and not (only_jpeg and suffix != ".jpg"):
        content = record.path.read_bytes()
    else:
        suffix, buffer = ".jpg", io.BytesIO()
        Image.fromarray(load_tagged(record)).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        content = buffer.getvalue()
    path = target.with_name(target.name + suffix)
    with atomic_file(path) as file:
        file.write(content)
    return path


def _plain_suffix(path: Path) -> str:
    """Return the suffix of a JPEG or PNG that every tool displays alike, and "" for other files."""
    try:
        with Image.open(path, formats=list(_COPIED)) as picture:
            plain = picture.mode in ("RGB", "L") and not picture.has_transparency_data
            upright = picture.getexif().get(_ORIENTATION, 1) == 1
            suffix = _COPIED.get(picture.format or "", "")
    except UnidentifiedImageError:
        return ""
    if suffix == ".png":
        with path.open("rb") as file:
            plain = plain and file.read(_PNG_DEPTH + 1)[_PNG_DEPTH] <= 8
    return suffix if plain and upright else ""


def foreground(mask: np.ndarray) -> list[int]:
    """Return the values of the classes in a mask."""
    return [int(value) for value in np.unique(mask) if value not in (BACKGROUND, IGNORE)]


def needs(module: str, package: str, extra: str = "export") -> Any:
    """Import a module of an optional dependency.

    Args:
        extra: of affinitynet, that installs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"requires {package}; pip install 'affinitynet[{extra}]'") from None
