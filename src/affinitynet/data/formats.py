"""What a file is by its first bytes, and which formats are read here."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec

from PIL import features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

HEAD = 132
"""Bytes that tell a format; DICOM's signature is the last four of them."""

_IMAGES = ".jpg .jpeg .jpe .jfif .pjpeg .pjp .png .apng .webp .tif .tiff .bmp .dib .gif .jp2 .j2k .j2c .jpc .jpf .jpx"
_NETPBMS = ".ppm .pgm .pbm .pnm .pfm"
_RAWS = ".dng .nef .nrw .cr2 .cr3 .crw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr .iiq"

SUFFIXES = frozenset(f"{_IMAGES} {_NETPBMS}".split())
"""Suffixes (lower case) of images that any installation reads."""

HEIC, AVIF, DICOM, RAW = "HEIC", "AVIF", "DICOM", "camera raw"

OPTIONAL_SUFFIXES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC),
    ".avif": AVIF,
    **dict.fromkeys((".dcm", ".dicom"), DICOM),
    **dict.fromkeys(_RAWS.split(), RAW),
}
"""Suffix -> a format that some installations read, or none: raw files often look like TIFF, with a thumbnail first."""

CURES = {
    HEIC: "pip install 'affinitynet[heic]'",
    AVIF: "pip install --upgrade pillow",
    DICOM: "pip install 'affinitynet[dicom]'",
    RAW: "export them as JPEG or TIFF",
    "JPEG XL": "export them as JPEG or PNG",
    "Photoshop": "export them as JPEG or PNG",
    "OpenEXR": "export them as TIFF",
}
"""Formats of pictures that are not read, or not everywhere -> what helps."""

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    **dict.fromkeys((b"GIF87a", b"GIF89a"), "GIF"),
    **dict.fromkeys((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"), "JPEG2000"),
    **dict.fromkeys((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), "JPEG XL"),
    b"8BPS\0\1": "Photoshop",
    b"v/1\x01": "OpenEXR",
    **dict.fromkeys((b"IIRO", b"IIRS", b"IIU\0", b"FUJIFILMCCD-RAW"), RAW),
}
_BITMAP = re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)
_NETPBM = re.compile(rb"P([1-6]\s+(#|\d)|f\s+\d)")
_BRANDS = ((HEIC, rb"hei[cxms]|hev[cxms]"), (AVIF, rb"avi[fs]"), (HEIC, rb"mif1|msf1"), (RAW, rb"crx "))


def format_of(head: bytes) -> str | None:
    """Return the name of a picture's format by its first ``HEAD`` bytes, ``None`` for anything else.

    Example:
        >>> format_of(b"\\xff\\xd8\\xff\\xe0 and so on"), format_of(b"P5\\n640 480\\n255\\n"), format_of(b"hello")
        ('JPEG', 'PPM', None)
        >>> format_of(b"\\0\\0\\0\\x18ftypmif1\\0\\0\\0\\0mif1heic")
        'HEIC'
    """
    if head[:3] == b"II*" and head[8:10] == b"CR":
        return RAW
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = head[8 : min(int.from_bytes(head[:4], "big"), HEAD)]
        return next((name for name, brand in _BRANDS if re.search(brand, brands)), None)
    if head[128:132] == b"DICM":
        return DICOM
    if _BITMAP.match(head):
        return "BMP"
    return "PPM" if _NETPBM.match(head) else None


@cache
def cure_for(name: str) -> str:
    """Return what it takes to read a format here; nothing for one that is read.

    Example:
        >>> cure_for("JPEG"), cure_for("camera raw")
        ('', 'export them as JPEG or TIFF')
    """
    installed = {HEIC: "pillow_heif", DICOM: "pydicom"}
    if name in installed and find_spec(installed[name]) is not None:
        return ""
    if name == AVIF and reads_avif():
        return ""
    return CURES.get(name, "")


@cache
def reads_avif() -> bool:
    """Return whether Pillow reads AVIF: from 11.3 on, where it was built so."""
    return find_spec("PIL.AvifImagePlugin") is not None and bool(features.check("avif"))


@cache
def pillow_formats() -> list[str]:
    """Return the formats that Pillow may open here: its other readers start programs (EPS) or are little used."""
    readers: list[type] = [JpegImageFile, PngImageFile, WebPImageFile, TiffImageFile, BmpImageFile, GifImageFile]
    readers += [Jpeg2KImageFile, PpmImageFile]
    if reads_avif():
        from PIL.AvifImagePlugin import AvifImageFile

        readers.append(AvifImageFile)
    return [reader.format for reader in readers]  # type: ignore[attr-defined]
