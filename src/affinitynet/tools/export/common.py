"""The images and masks of a work folder, from which every format is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affinitynet.data.images import load_tagged
from affinitynet.errors import InputError
from affinitynet.files import atomic_file
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage
from affinitynet.runtime.progress import Progress
from affinitynet.work.artifacts import Artifacts

_ORIENTATION = 274  # EXIF tag
_COPIED = {"JPEG": ".jpg", "PNG": ".png"}  # formats that every tool reads
_QUALITY = 95


@dataclass(frozen=True)
class LabelledImages:
    """Images with their masks.

    Args:
        classes: names; class c has mask value c + 1.
        splits: name -> images.
        masks: by the images' names.
        progress: shows progress.
    """

    classes: tuple[str, ...]
    splits: dict[str, tuple[TaggedImage, ...]]
    masks: Artifacts[np.ndarray]
    progress: Progress

    def __iter__(self) -> Iterator[tuple[str, TaggedImage, np.ndarray]]:
        """Yield (split, image, mask uint8 [H, W]); an image in two splits is yielded twice."""
        with self.progress.bar("export", sum(map(len, self.splits.values()))) as advance:
            for split, records in self.splits.items():
                for record in records:
                    yield split, record, self.masks.load(record.name)
                    advance()


def write_image(record: TaggedImage, target: Path, only_jpeg: bool = False) -> Path:
    """Write an image so that other tools see it as its mask does: upright, 8 bit, RGB.

    A JPEG or PNG that already is like that is copied byte for byte.

    Args:
        target: path without suffix; the suffix is appended.

    Returns:
        The path written.
    """
    with Image.open(record.path) as picture:
        plain = picture.mode in ("RGB", "L") and picture.getexif().get(_ORIENTATION, 1) == 1
        suffix = _COPIED.get(picture.format or "", "")
    if plain and suffix and not (only_jpeg and suffix != ".jpg"):
        content = record.path.read_bytes()
    else:
        suffix, buffer = ".jpg", io.BytesIO()
        Image.fromarray(load_tagged(record)).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        content = buffer.getvalue()
    path = target.with_name(target.name + suffix)
    with atomic_file(path) as file:
        file.write(content)
    return path


def foreground(mask: np.ndarray) -> list[int]:
    """Return the values of the classes in a mask."""
    return [int(value) for value in np.unique(mask) if value not in (BACKGROUND, IGNORE)]


def needs(module: str, package: str) -> Any:
    """Import a module of an optional dependency.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"export: requires {package}; pip install 'affinitynet[export]'") from None
