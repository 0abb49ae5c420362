"""Reading ground-truth masks, in any kind of file that holds their numbers or colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affinitynet.data.pixels import DeepPixels, read_pixels
from affinitynet.errors import InputError
from affinitynet.files import voc_palette

NAMED_COLOURS = 4


class SizeError(InputError):
    """A mask has another size than its image.

    Args:
        stored: (H, W) of the mask.
    """

    def __init__(self, message: str, stored: tuple[int, int]) -> None:
        super().__init__(message)
        self.stored = stored


def load_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a ground-truth mask as stored label values, uint8 [H, W].

    Numbers may be stored in 1, 8, 16 or 32 bits or as floats, as palette indices, or as equal red, green and blue;
    colours have to be those of PASCAL VOC's palette.

    Args:
        path: PNG, TIFF, BMP, GIF or lossless WebP.
        size: (H, W) of the upright image it belongs to.

    Raises:
        InputError: it is missing, or has the wrong format or size.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> path = Path(tempfile.mkdtemp()) / "mask.png"
        >>> Image.new("RGB", (3, 2), (0, 128, 0)).save(path)
        >>> load_mask(path, (2, 3)).tolist()
        [[2, 2, 2], [2, 2, 2]]
    """
    values = _values(path)
    _check_size(path, values, size)  # first: then the rest takes no more room than the image
    return _labels(values.astype(np.uint8) if values.dtype == bool else values, path)


def load_colours(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask whose colours or values are classes.

    Args:
        size: (H, W) of the upright image it belongs to.

    Returns:
        The values of a palette or grayscale picture, uint8 [H, W]; the colours of any other, uint8 [H, W, 3].

    Raises:
        InputError: it is missing, not a picture of 8 bits, or of another size.
    """
    values = _values(path)
    if values.ndim == 2:
        return load_mask(path, size)
    if values.dtype != np.uint8 or values.shape[2] < 3:
        raise InputError(f"{path}: its colours have more than 8 bits; save it as 8-bit PNG")
    _check_size(path, values, size)
    return values[..., :3]


def _values(path: Path) -> np.ndarray:
    found = read_pixels(path)
    if found.lossy:
        raise InputError(f"{path}: a JPEG changes the values of a mask; save it as PNG")
    return found.content.values if isinstance(found.content, DeepPixels) else np.asarray(found.content)


def _check_size(path: Path, mask: np.ndarray, size: tuple[int, int]) -> None:
    if mask.shape[:2] != tuple(size):
        raise SizeError(
            f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its image {size[1]} x {size[0]}; "
            "make them the same size or remove the mask",
            (mask.shape[0], mask.shape[1]),
        )


def _labels(values: np.ndarray, path: Path) -> np.ndarray:
    if values.ndim == 3:
        return _from_colours(values, path)
    if values.dtype == np.uint8:
        return values
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise InputError(f"{path}: a mask must contain whole numbers, 0 background, class + 1; save it as 8-bit PNG")
    if values.min(initial=0) < 0 or values.max(initial=0) > 255:
        wrong = values.min() if values.min() < 0 else values.max()
        raise InputError(f"{path}: contains value {wrong:g}; a mask must be an 8-bit PNG: 0 background, class + 1")
    return values.astype(np.uint8)


def _from_colours(values: np.ndarray, path: Path) -> np.ndarray:
    """Return the numbers of gray values [H, W, B] that are stored as colours, or of colours of VOC's palette.

    Raises:
        InputError: it contains others.
    """
    if values.shape[2] in (2, 4) and (values[..., -1] < 255).any():
        raise InputError(f"{path}: a mask must not be transparent; save it as 8-bit PNG: 0 background, class + 1")
    colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1].repeat(3, axis=2)
    if colours.min(initial=0) < 0 or colours.max(initial=0) > 255:
        raise InputError(f"{path}: its colours have more than 8 bits; save it as 8-bit PNG: 0 background, class + 1")
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found = np.unique(packed)
    grays = {number * 0x010101: number for number in range(256)}
    triples = np.array(voc_palette(), np.uint32).reshape(256, 3) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    palette = {int(colour): number for number, colour in enumerate(triples)}
    for known in (grays, palette):
        if all(int(colour) in known for colour in found):
            numbers = np.array([known[int(colour)] for colour in found], np.uint8)
            return numbers[np.searchsorted(found, packed)]
    named = ", ".join(f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in found[:NAMED_COLOURS].tolist())
    more = f" and {len(found) - NAMED_COLOURS} more" if len(found) > NAMED_COLOURS else ""
    raise InputError(
        f"{path}: a mask must contain the numbers of classes, but it contains colours ({named}{more}); "
        "save it as 8-bit PNG: 0 background, class + 1"
    )
