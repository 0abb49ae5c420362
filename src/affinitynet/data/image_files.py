"""Which files below a folder are images, and what the others are: the one walk over folders there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"))
"""Suffixes (lower case) of the files that are treated as images."""


@dataclass(frozen=True)
class PassedOver:
    """A file that is not used as an image.

    Args:
        path: the file.
        reason: why, in a few words: files of one reason are counted together.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class ImageFiles:
    """What lies below a folder.

    Args:
        root: the folder.
        images: the image files, by their paths.
        passed_over: the files that are not used as images, by their paths.
    """

    root: Path
    images: tuple[Path, ...]
    passed_over: tuple[PassedOver, ...]


def find_image_files(root: Path) -> ImageFiles:
    """Return every file below ``root``, hidden files and folders (``.name``) aside: images and the rest."""
    images, passed_over = [], []
    for path in sorted(root.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(root).parts) or not path.is_file():
            continue
        if path.suffix.lower() in EXTENSIONS:
            images.append(path)
        else:
            passed_over.append(PassedOver(path, f"not an image ({path.suffix or 'no suffix'})"))
    return ImageFiles(root, tuple(images), tuple(passed_over))
