"""TIFF beyond 8-bit gray and RGB: deep values, many bands, separate planes."""

from __future__ import annotations

import logging
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from affinitynet.errors import InputError, one_line

LARGEST = 2**30
"""Bytes that the values of one image may take."""

_UNSIGNED, _COMPLEX = 1, (5, 6)
_RGB, _WHITE_IS_ZERO = 2, 0
_DEFLATE = (8, 32946)


@dataclass(frozen=True)
class TiffFacts:
    """What the first directory of a TIFF says.

    Args:
        size: (H, W) as stored; ``None`` if that makes no sense.
        big: whether the higher byte of a value comes first, once it is unpacked.
        swapped: whether it is packed and comes in the other order than this machine's.
        bits: of a sample.
        sample_format: 1 unsigned, 2 signed, 3 floating.
        bands: samples a pixel.
        photometric: what the samples mean: 0 white is zero, 1 black is zero, 2 RGB ...
        planar: whether the bands are stored one after another.
        extra: meanings of the bands beyond the colours: 0 unspecified, 1 and 2 transparency.
        orientation: as in EXIF.
        nodata: the value that stands for "not measured" (GDAL), if there is one.
        pages: whether there is a further page, and it is not a smaller copy of the first.
    """

    size: tuple[int, int] | None
    big: bool
    swapped: bool
    bits: int
    sample_format: int
    bands: int
    photometric: int
    planar: bool
    extra: tuple[int, ...]
    orientation: int
    nodata: float | None
    pages: bool

    @property
    def plain(self) -> bool:
        """Whether these are 8-bit values that Pillow reads as they are."""
        shallow = self.bits <= 8 and self.sample_format == _UNSIGNED
        return self.photometric not in (0, 1, 2) or (shallow and self.bands <= (4 if self.photometric == _RGB else 2))

    @property
    def gray(self) -> bool:
        """Whether these are deep gray values that Pillow reads as they are."""
        kind = (self.bits, self.sample_format)
        if self.swapped:  # Pillow swaps the bytes of the other kinds once more than it should
            return self.bands == 1 and kind == (16, 1)
        return self.bands == 1 and kind in ((12, 1), (16, 1), (16, 2), (32, 2), (32, 3))

    @property
    def deep_colours(self) -> bool:
        """Whether these are 16-bit colours of which Pillow reads each byte."""
        bits = self.bits == 16 and self.sample_format == _UNSIGNED
        return bits and not self.planar and self.photometric == _RGB and self.bands in (3, 4) and self.extra != (1,)

    @property
    def alpha(self) -> bool:
        """Whether the last band is transparency."""
        colours = 3 if self.photometric == _RGB else 1
        return self.bands == colours + 1 and bool(self.extra) and self.extra[0] in (1, 2)

    @property
    def inverted(self) -> bool:
        """Whether the lowest value is white."""
        return self.photometric == _WHITE_IS_ZERO

    @property
    def note(self) -> str:
        """Which bands and pages are used, where that is not all; else nothing."""
        colours = self.bands - self.alpha
        if self.photometric in (0, 1, 2) and colours > 3:
            return f"images with {self.bands} bands, of which the first three are used as red, green and blue"
        if self.photometric in (0, 1, 2) and colours == 2:
            return "images with 2 bands, of which the first is used"
        return "TIFF files with several pages, of which the first is used" if self.pages else ""


def tiff_facts(path: Path) -> TiffFacts | None:
    """Return what the first directory of a TIFF says, ``None`` if it makes no sense."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            directory = _directory(file, head + file.read(8) if head[2:3] == b"+" or head[3:4] == b"+" else head)
            tag = _Tags(directory)
            bits, formats = tag.all(258, (1,)), tag.all(339, (1,))
            size, packed = (tag.one(257, 0), tag.one(256, 0)), tag.one(259, 1) != 1
            return TiffFacts(
                size=size if min(size) > 0 else None,
                big=sys.byteorder == "big" if packed else head.startswith(b"MM"),
                swapped=packed and head.startswith(b"MM") != (sys.byteorder == "big"),
                bits=max(bits),
                sample_format=formats[0],
                bands=tag.one(277, 1),
                photometric=tag.one(262, 1),
                planar=tag.one(284, 1) == 2,
                extra=tag.all(338, ()),
                orientation=tag.one(274, 1),
                nodata=_number(directory.get(42113)),
                pages=_has_further_page(file, directory, head),
            )
    except Exception:  # damaged tags may raise anything; what reads the pixels says what is wrong
        return None


def _directory(file: Any, head: bytes, offset: int | None = None) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2(head)
    file.seek(directory.next if offset is None else offset)
    directory.load(file)
    return directory


def _has_further_page(file: Any, directory: ImageFileDirectory_v2, head: bytes) -> bool:
    if not directory.next:
        return False
    file.seek(0)
    head = file.read(16) if b"+" in head[:4] else head
    return not _Tags(_directory(file, head, directory.next)).one(254, 0) & 5


class _Tags:
    """Numbers of a directory, whether they are stored alone or in a row."""

    def __init__(self, directory: ImageFileDirectory_v2) -> None:
        self.directory = directory

    def all(self, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        found = self.directory.get(tag, default)
        return tuple(map(int, found if isinstance(found, tuple) else (found,)))

    def one(self, tag: int, default: int) -> int:
        return (*self.all(tag, (default,)), default)[0]


def _number(text: Any) -> float | None:
    try:
        return float(str(text).strip(" \0"))
    except ValueError:
        return None


def read_tiff(path: Path) -> np.ndarray:
    """Return the values [H, W] or [H, W, B] of the first page, of any type and number of bands.

    Raises:
        InputError: it is damaged, too large, complex, or compressed in a way that needs another package.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters raises an error, which names it
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            _check(path, page)
            values = page.asarray()
            axes = page.axes
    except InputError:
        raise
    except Exception as error:  # damaged files may raise anything
        raise InputError(_refusal(path, error)) from None
    if values.ndim < 2 or not values.size:
        raise InputError(f"{path}: not a readable image; replace or remove it")
    if axes.startswith("S") and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.ndim > 3:
        raise InputError(f"{path}: a TIFF of {values.ndim} dimensions ({axes}); save one plane of it")
    return values


def _refusal(path: Path, error: Exception) -> str:
    if "imagecodecs" in str(error):
        packed = re.search(r"COMPRESSION\.(\w+)", str(error))
        return (
            f"{path}: its depth or number of bands is read, but not with its compression"
            f"{f' ({packed[1]})' if packed else ''}; pip install 'affinitynet[tiff]', or save it without compression"
        )
    return f"{path}: cannot be read ({one_line(error) or type(error).__name__}); replace or remove it"


def _check(path: Path, page: Any) -> None:
    """Refuse what would not fit into memory, and what is no picture.

    Raises:
        InputError: it is.
    """
    if page.dtype is None or page.sampleformat in _COMPLEX:
        raise InputError(f"{path}: its values are of a type that no picture has; save them as 16-bit or float values")
    if page.nbytes > LARGEST:
        raise InputError(f"{path}: its values take {page.nbytes / 2**30:.1f} GB; make it smaller or keep three bands")
    if int(page.compression) in _DEFLATE:
        _check_deflated(path, page)


def _check_deflated(path: Path, page: Any) -> None:
    """Refuse a segment that unpacks to more than its place."""
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    rows = min(height, page.imagelength) if not page.is_tiled else height
    size = rows * width * page.samplesperpixel * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        page.parent.filehandle.seek(offset)
        unpacked = zlib.decompressobj()
        unpacked.decompress(page.parent.filehandle.read(count), size)
        if not unpacked.eof and unpacked.decompress(unpacked.unconsumed_tail, 1):
            raise InputError(f"{path}: unpacks to more than the picture holds; replace or remove it")
