"""Reading pictures: any common format to RGB, and masks to label maps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from affinitynet.errors import InputError

_READERS = (JpegImageFile, PngImageFile, WebPImageFile, TiffImageFile, BmpImageFile, GifImageFile)
"""What a file may contain, regardless of its name: Pillow's other readers start programs (EPS) or are little used."""

_ORIENTATION = 274  # EXIF tag; 5..8 rotate the picture by a quarter turn


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture and turn any error while it is read into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anything that matters raises an error, which names it
            with Image.open(path, formats=[str(reader.format) for reader in _READERS]) as picture:
                yield picture
    except FileNotFoundError:
        raise InputError(f"{path}: no such image; fix the list or tag file that names it") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a readable image; replace or remove it") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error}); replace or remove it") from None


def load_image(path: Path) -> np.ndarray:
    """Read a picture of any format and mode as uint8 [H, W, 3] RGB, upright.

    EXIF orientation is applied, grayscale and palettes are expanded, transparency is composed on white
    (as in image viewers), 16-bit and float gray values are scaled: 16 bit by 1/257, other integers
    and floats from their own minimum and maximum.

    Raises:
        InputError: the file is missing, empty, truncated, or not a picture.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "gray.png"
        >>> Image.new("L", (3, 2), 7).save(path)
        >>> load_image(path).shape, int(load_image(path).max())
        ((2, 3, 3), 7)
    """
    with _opened(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith(("I", "F")):
            upright = Image.fromarray(_to_8_bit(np.asarray(upright), sixteen="16" in upright.mode))
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.asarray(upright.convert("RGB"))


def _to_8_bit(values: np.ndarray, sixteen: bool) -> np.ndarray:
    """Scale high-depth gray values [H, W] to uint8."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    # A 16-bit PNG may be opened in a 32-bit mode; values in that range are 16-bit ones.
    if sixteen or (low >= 0 and 255 < high < 65536 and (values == np.round(values)).all()):
        return (values / 257).round().astype(np.uint8)
    return ((values - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of the upright picture, from its header.

    Raises:
        InputError: the file is missing, empty or not a picture.
    """
    with _opened(path) as picture:
        width, height = picture.size
        sideways = picture.getexif().get(_ORIENTATION, 1) >= 5
        return (width, height) if sideways else (height, width)


def load_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a ground-truth mask as stored label values, uint8 [H, W].

    Args:
        path: an 8-bit palette or grayscale PNG.
        size: (H, W) of the upright image it belongs to.

    Raises:
        InputError: it is missing, or has the wrong format or size.
    """
    with _opened(path) as picture:
        if picture.mode not in ("P", "L", "1"):
            raise InputError(
                f"{path}: a mask must be an 8-bit palette or grayscale PNG whose values are classes, not {picture.mode}"
            )
        mask = np.asarray(picture, dtype=np.uint8)
    if mask.shape != tuple(size):
        raise InputError(
            f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its image {size[1]} x {size[0]}; "
            "make them the same size or remove the mask"
        )
    return mask


def load_colours(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask whose colours or values are classes.

    Args:
        size: (H, W) of the upright image it belongs to.

    Returns:
        The values of a palette or grayscale picture, uint8 [H, W]; the colours of any other, uint8 [H, W, 3].

    Raises:
        InputError: it is missing, not a picture, or of another size.
    """
    with _opened(path) as picture:
        if picture.mode in ("P", "L", "1"):
            return load_mask(path, size)
        colours = np.asarray(picture.convert("RGB"))
    if colours.shape[:2] != tuple(size):
        raise InputError(
            f"{path}: the mask is {colours.shape[1]} x {colours.shape[0]} pixels, its image {size[1]} x {size[0]}; "
            "make them the same size or remove the mask"
        )
    return colours
