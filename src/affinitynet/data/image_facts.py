"""What one image and its ground truth are like, measured while they are read anyway."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLED = 256
"""Rows and columns of an image, about, that are compared with those of other images."""

FLAT = 10  # largest difference within a channel of an image of almost one colour; JPEG's noise stays below

_MODES = {
    "1": "1-bit",
    "L": "gray",
    "LA": "gray + alpha",
    "P": "palette",
    "PA": "palette",
    "RGB": "RGB",
    "RGBA": "RGB + alpha",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "LAB",
}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is like.

    Args:
        kind: depth, mode and format, e.g. "8-bit RGB JPEG".
        size: (width, height) of the upright image.
        flat: whether it has almost one colour.
        digest: the same for images that show the same.
        labels: (value, pixels) of each value of the ground truth, ascending; ``None`` without ground truth.
    """

    kind: str
    size: tuple[int, int]
    flat: bool
    digest: bytes
    labels: tuple[tuple[int, int], ...] | None = None


def image_facts(path: Path, image: np.ndarray, mask: np.ndarray | None) -> ImageFacts:
    """Return what an image is like.

    Args:
        path: its file.
        image: its pixels uint8 [H, W, 3].
        mask: its ground truth uint8 [H, W], or ``None``.

    Example:
        >>> facts = image_facts(Path("a.png"), np.zeros((2, 3, 3), np.uint8), np.full((2, 3), 255, np.uint8))
        >>> facts.size, facts.flat, facts.labels
        ((3, 2), True, ((255, 6),))
    """
    height, width = image.shape[:2]
    sample = np.ascontiguousarray(image[:: 1 + height // SAMPLED, :: 1 + width // SAMPLED])
    flat = all(map(_has_one_colour, (sample[::8, ::8], sample)))  # nearly always the few pixels say no
    digest = hashlib.blake2b(f"{height} {width}".encode(), digest_size=16)
    digest.update(sample.data)
    labels = None if mask is None else _counts(mask)
    return ImageFacts(image_kind(path), (width, height), flat, digest.digest(), labels)


def _has_one_colour(image: np.ndarray) -> bool:
    pixels = image.reshape(-1, 3)
    return bool((pixels.max(axis=0) - pixels.min(axis=0)).max() <= FLAT)


def _counts(mask: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return (value, pixels) of the values that a mask holds; Pillow counts bytes faster than numpy."""
    counted = Image.fromarray(np.ascontiguousarray(mask)).histogram()
    return tuple((value, count) for value, count in enumerate(counted) if count)


def image_kind(path: Path) -> str:
    """Return depth, mode and format of an image file, from its header; its suffix where Pillow does not know it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scan.tif"
        >>> Image.fromarray(np.zeros((2, 3), np.uint16)).save(path)
        >>> image_kind(path)
        '16-bit gray TIFF'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                return f"{_mode(picture)} {picture.format}"
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return f"{path.suffix.lstrip('.').upper() or 'unnamed'} file"


def _mode(picture: Image.Image) -> str:
    if picture.mode == "F":
        return "float gray"
    if picture.mode.startswith("I"):
        return "16-bit gray" if "16" in picture.mode or picture.format == "PNG" else "32-bit gray"
    if picture.mode == "1":
        return "1-bit"
    # Pillow keeps 8 bits of deeper colours; only how they are stored still says so.
    deep = any("16" in str(part) for tile in getattr(picture, "tile", ()) for part in tile[3:])
    return f"{16 if deep else 8}-bit {_MODES.get(picture.mode, picture.mode)}"
