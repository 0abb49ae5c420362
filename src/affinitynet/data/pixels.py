"""Files to pixels, as they are stored: an 8-bit picture, or an array of deeper values and of any number of bands."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from affinitynet.data.dicom import dicom_size, read_dicom
from affinitynet.data.formats import DICOM, HEAD, HEIC, cure_for, format_of, pillow_formats
from affinitynet.data.tiff import TiffFacts, read_tiff, tiff_facts
from affinitynet.data.values import known_values
from affinitynet.errors import InputError, one_line
from affinitynet.records import ValueRange

ORIENTATION = 274
"""EXIF tag; 5 to 8 rotate the picture by a quarter turn."""

_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""Orientation -> steps over rows and columns, after these have changed places from 5 on."""

_PNG_LAYOUTS = {b"\x02": "RGB", b"\x04": "LA", b"\x06": "RGBA"}  # by the colour type in the header


@dataclass(frozen=True)
class Frame:
    """Size and orientation of a picture.

    Args:
        stored: (H, W) in the file.
        orientation: as EXIF numbers it: 1 is upright.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the upright picture."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


@dataclass(frozen=True)
class DeepPixels:
    """Values that are not those of an 8-bit picture.

    Args:
        values: [H, W] gray or [H, W, 3] red, green, blue, of any type; upright.
        known: bool of the same shape: what was measured, and is not transparent.
        alpha: [H, W] in [0, 1], 0 is transparent; or ``None``.
        window: values that the file wants to be black and white.
        inverted: whether the lowest value is white.
    """

    values: np.ndarray
    known: np.ndarray
    alpha: np.ndarray | None = None
    window: ValueRange | None = None
    inverted: bool = False


@dataclass(frozen=True)
class Pixels:
    """What a file holds.

    Args:
        content: a picture of 8 bits in any of Pillow's modes, upright; or deeper values.
        note: which bands and pages are used, where that is not all of them; else nothing.
        lossy: whether a JPEG has changed the values.
    """

    content: Image.Image | DeepPixels
    note: str = ""
    lossy: bool = False


_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, MemoryError, RuntimeError),
    *(ArithmeticError, LookupError, TypeError, struct.error),
)
"""What Pillow's readers raise on damaged files."""


class _UnknownError(InputError):
    """Pillow does not know what the file is."""


def read_pixels(path: Path) -> Pixels:
    """Read a picture of any format that is known here.

    Raises:
        InputError: the file is missing, damaged, too large or not a picture.
    """
    name, head = _format(path)
    if name == DICOM:
        return _from_dicom(path)
    facts = tiff_facts(path) if name == "TIFF" else None
    if facts is not None and not facts.plain:
        return Pixels(_deep_tiff(path, facts), facts.note)
    if name == "PNG" and head[24:25] == b"\x10" and head[25:26] in _PNG_LAYOUTS:
        return Pixels(_deep_png(path, _PNG_LAYOUTS[head[25:26]]))
    try:
        return _with_pillow(path, name, facts)
    except _UnknownError:
        if facts is None:
            raise
        return Pixels(_chosen(read_tiff(path), facts, facts.orientation), facts.note)


def _with_pillow(path: Path, name: str | None, facts: TiffFacts | None) -> Pixels:
    with opened(path, name) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith(("I", "F")):
            values, key = np.asarray(upright), picture.info.get("transparency")
            alpha = 1.0 - (values == key) if isinstance(key, int) else None
            return Pixels(DeepPixels(values, _visible(known_values(values), alpha), alpha))
        upright.load()
        return Pixels(upright, facts.note if facts is not None else "", lossy=name == "JPEG")


def read_frame(path: Path) -> Frame:
    """Return the size and the orientation of a picture, from its header.

    Raises:
        InputError: the file is missing, empty or not a picture.
    """
    name, _ = _format(path)
    if name == DICOM:
        return Frame(dicom_size(path))
    if name == "TIFF" and (facts := tiff_facts(path)) is not None and facts.size is not None:
        return Frame(facts.size, facts.orientation)
    with opened(path, name) as picture:
        width, height = picture.size
        return Frame((height, width), picture.getexif().get(ORIENTATION, 1))


def turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return an array [H, W] or [H, W, B] as the orientation of EXIF wants it to be shown.

    Example:
        >>> turned(np.array([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    if orientation not in _FLIPS:
        return values
    rows, columns = _FLIPS[orientation]
    return (values.swapaxes(0, 1) if orientation >= 5 else values)[::rows, ::columns]


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[Image.Image]:
    """Open a picture with Pillow and turn any error while it is read into one line.

    Args:
        name: its format, if that is known already.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anything that matters raises an error, which names it
            with _open(path, name) as picture:
                yield picture
    except FileNotFoundError:
        raise InputError(f"{path}: no such image; fix the list or tag file that names it") from None
    except UnidentifiedImageError:
        raise _UnknownError(f"{path}: not a readable image; replace or remove it") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: more than {largest():,} pixels; make it smaller") from None
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: cannot be read ({one_line(error) or type(error).__name__}); replace or remove it"
        ) from None


def largest() -> int:
    """Return how many pixels an image may have."""
    return 2 * (Image.MAX_IMAGE_PIXELS or 2**40)


def _format(path: Path) -> tuple[str | None, bytes]:
    """Return a file's format by its first bytes, and these.

    Raises:
        InputError: it cannot be opened, or shows something in a format that is not read here.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise InputError(f"{path}: no such image; fix the list or tag file that names it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); replace or remove it") from None
    name = format_of(head)
    if name and (cure := cure_for(name)):
        raise InputError(f"{path}: is a picture of the kind {name}; {cure}")
    return name, head


@contextmanager
def _open(path: Path, name: str | None) -> Iterator[Image.Image]:
    if name == HEIC:
        from pillow_heif import HeifImageFile

        with HeifImageFile(path) as picture:
            if picture.width * picture.height > largest():
                raise Image.DecompressionBombError
            yield picture
        return
    # By its name, Pillow maps an uncompressed TIFF into memory, and then garbles one that is to be turned.
    with path.open("rb") as file, Image.open(file, formats=pillow_formats()) as picture:
        yield picture


def _from_dicom(path: Path) -> Pixels:
    found = read_dicom(path)
    note = "DICOM files with several frames, of which the first is used" if found.frames > 1 else ""
    if found.values.ndim == 3 and found.values.dtype == np.uint8:
        return Pixels(Image.fromarray(found.values), note)
    known = known_values(found.values) & found.measured
    return Pixels(DeepPixels(found.values, known, window=found.window, inverted=found.inverted), note)


def _deep_tiff(path: Path, facts: TiffFacts) -> DeepPixels:
    """Read a TIFF of deep values or many bands: what Pillow can with Pillow, which knows every compression."""
    try:
        if facts.deep_colours:
            layout = "RGB" if facts.bands == 3 else "RGBA" if facts.alpha else "RGBX"
            return _chosen(_sixteen_bits(path, layout, facts.big), facts, orientation=1)  # Pillow has turned it
        if facts.gray:
            with opened(path) as picture:
                picture.load()
                return _chosen(np.asarray(picture), facts, orientation=1)
    except InputError:
        pass  # tifffile reads more, and says what is wrong with the others
    return _chosen(read_tiff(path), facts, facts.orientation)


def _chosen(values: np.ndarray, facts: TiffFacts, orientation: int) -> DeepPixels:
    """Choose the bands that are shown: the first three, or the first."""
    values = turned(values, orientation)
    alpha = None
    if facts.alpha and values.ndim == 3:
        full = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1.0
        values, alpha = values[..., :-1], (values[..., -1] / full).clip(0, 1)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., 0]
    known = known_values(values, facts.nodata)
    return DeepPixels(values, _visible(known, alpha), alpha, inverted=facts.inverted)


def _deep_png(path: Path, layout: str) -> DeepPixels:
    """Return the colours and the transparency of a 16-bit PNG."""
    values = _sixteen_bits(path, layout, big=True)
    with opened(path) as picture:
        orientation, key = picture.getexif().get(ORIENTATION, 1), picture.info.get("transparency")
    values, alpha = turned(values, orientation), None
    if layout in ("LA", "RGBA"):
        values, alpha = values[..., :-1], values[..., -1] / 65535
    elif key is not None:
        alpha = 1.0 - (values == np.asarray(key)).all(-1)
    values = values if values.shape[2] == 3 else values[..., 0]
    return DeepPixels(values, _visible(known_values(values), alpha), alpha)


def _visible(known: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    if alpha is None:
        return known
    return known & ((alpha > 0) if known.ndim == 2 else (alpha > 0)[..., None])


def _sixteen_bits(path: Path, layout: str, big: bool) -> np.ndarray:
    """Return the values uint16 [H, W, B] of a PNG or TIFF of 16-bit colours.

    Pillow keeps one byte of each value, the first ("B") or the second ("L"), as it is asked to. So it is asked twice.

    Args:
        layout: of the bands, as Pillow names it.
        big: whether the first byte is the higher one.
    """
    if layout == "LA":  # of which Pillow knows only one order, but the four bytes are also those of a pixel RGBA
        pixels = _decoded(path, "RGBA", "RGBA")
        return pixels[..., ::2] << 8 | pixels[..., 1::2]
    mode = "RGBA" if layout == "RGBA" else "RGB"
    first, second = (_decoded(path, mode, f"{layout};16{order}") for order in "BL")
    return (first << 8 | second) if big else (second << 8 | first)


def _decoded(path: Path, mode: str, raw: str) -> np.ndarray:
    """Return the bytes, as uint16 [H, W, B], that Pillow keeps of a picture if it takes its values for ``raw``."""
    with opened(path) as picture:
        picture._mode = mode
        picture.tile = [_as(tile, raw) for tile in picture.tile]  # type: ignore[attr-defined]
        return np.asarray(picture).astype(np.uint16)


def _as(tile: Any, raw: str) -> Any:
    args = raw if isinstance(tile[3], str) else (raw, *tile[3][1:])
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)
