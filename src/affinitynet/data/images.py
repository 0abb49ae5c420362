"""Reading pictures: any common format to 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from affinitynet.data.pixels import DeepPixels, read_frame, read_pixels
from affinitynet.data.values import Measured, kind_of, measure, range_for, to_8_bit
from affinitynet.records import TaggedImage, ValueRange, ValueRanges

WHITE = 255


@dataclass(frozen=True)
class ImageRead:
    """An image and what there is to say about its file.

    Args:
        pixels: uint8 [H, W, 3] RGB, upright.
        deep: whether the file holds values of more than 8 bits.
        scaled: the values that became black and white, of a deep one.
        measured: the values in use, of a deep one that is not all of one value.
        note: which bands and pages are used, where that is not all of them; else nothing.
    """

    pixels: np.ndarray
    deep: bool = False
    scaled: ValueRange | None = None
    measured: Measured | None = None
    note: str = ""


def load_image(path: Path, values: ValueRanges | None = None) -> np.ndarray:
    """Read a picture of any format and mode as uint8 [H, W, 3] RGB, upright.

    EXIF orientation is applied, grayscale and palettes are expanded, transparency is composed on white
    (as in image viewers). Values of more than 8 bits are scaled: by the range of the collection, or, without one, by
    the bits that the file's whole numbers need (10, 12, 14, 16), other ones from the file's least to its greatest.
    NaN and "no data" are black and decide nothing. Of more than four bands the first three are used.

    Args:
        values: which values become black and white, in all images of a collection.

    Raises:
        InputError: the file is missing, empty, truncated, or not a picture.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "gray.png"
        >>> Image.new("L", (3, 2), 7).save(path)
        >>> load_image(path).shape, int(load_image(path).max())
        ((2, 3, 3), 7)
        >>> Image.fromarray(np.array([[0, 2047, 4095]], np.uint16)).save(path)
        >>> load_image(path)[0, :, 0].tolist(), load_image(path, ValueRanges(ValueRange(0, 65535)))[0, :, 0].tolist()
        ([0, 127, 255], [0, 8, 16])
    """
    return read_image(path, values).pixels


def load_tagged(record: TaggedImage) -> np.ndarray:
    """Read the image of a collection as uint8 [H, W, 3] RGB, deep values by the range of the collection.

    Raises:
        InputError: as :func:`load_image`.
    """
    return load_image(record.path, record.values)


def read_image(path: Path, values: ValueRanges | None = None, measured: bool = False) -> ImageRead:
    """Read an image as :func:`load_image`, and say what is special about its file.

    Args:
        measured: whether to measure which values a deep image uses.

    Raises:
        InputError: as :func:`load_image`.
    """
    found = read_pixels(path)
    if isinstance(found.content, Image.Image):
        return ImageRead(_rgb(found.content), note=found.note)
    deep = found.content
    if deep.values.dtype == np.uint8 and deep.window is None:
        return ImageRead(_composed(deep, deep.values), note=found.note)
    seen = (deep.window if values is None else None) or range_for(deep.values, deep.known, values)
    pixels = _composed(deep, to_8_bit(deep.values, deep.known, seen, deep.inverted))
    return ImageRead(pixels, True, seen, _measure(deep) if measured else None, found.note)


def image_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of the upright picture, from its header.

    Raises:
        InputError: the file is missing, empty or not a picture.
    """
    return read_frame(path).size


def _measure(deep: DeepPixels) -> Measured | None:
    if deep.window is not None:
        return Measured(kind_of(deep.values[deep.known]), deep.window)
    return measure(deep.values, deep.known)


def _composed(deep: DeepPixels, pixels: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W, 3] of gray or RGB values, laid on white where they are transparent."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if deep.alpha is not None:
        alpha = deep.alpha[..., None]
        pixels = (pixels * alpha + WHITE * (1 - alpha)).round().astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _rgb(picture: Image.Image) -> np.ndarray:
    """Return uint8 [H, W, 3] of an 8-bit picture of any mode, laid on white where it is transparent."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(picture.convert("RGB"))
