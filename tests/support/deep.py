"""Pictures of more than 8 bits, of many bands, of phones and scanners: written by others than those that read them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image


def png16(values: np.ndarray, *chunks: bytes) -> bytes:
    """Write a 16-bit PNG of values uint16 [H, W, B]: gray, gray and alpha, RGB or RGBA."""
    height, width, bands = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff(values: np.ndarray, **options: Any) -> bytes:
    """Write values [H, W] or [H, W, B] of any type as TIFF, with the options of tifffile."""
    file = io.BytesIO()
    several = {"photometric": "minisblack", "planarconfig": "contig"} if values.ndim == 3 else {}
    if options.get("planarconfig") == "separate":
        values = np.moveaxis(values, -1, 0)
    tifffile.imwrite(file, values, **{**several, **options})
    return file.getvalue()


def with_tag(content: bytes, tag: int, value: int) -> bytes:
    """Change a number in the first directory of a little-endian TIFF."""
    changed = bytearray(content)
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    place = next(
        p for p in range(start + 2, start + 2 + 12 * count, 12) if content[p : p + 2] == struct.pack("<H", tag)
    )
    changed[place + 8 : place + 12] = struct.pack("<I", value)
    return bytes(changed)


def dicom(stored: np.ndarray, photometric: str = "MONOCHROME2", **tags: Any) -> bytes:
    """Write an uncompressed DICOM file of 16-bit values [H, W]."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = SecondaryCaptureImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = UID("1.2.3")
    found.Rows, found.Columns = stored.shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, photometric
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, int(stored.min() < 0)
    found.PixelData = stored.astype("<i2" if stored.min() < 0 else "<u2").tobytes()
    for name, value in tags.items():
        setattr(found, name, value)
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


def heic(size: tuple[int, int]) -> bytes:
    """Write a photograph as phones do."""
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.effect_noise(size, 80).convert("RGB")).save(file, quality=90)
    return file.getvalue()


def deep_pictures() -> list[bytes]:
    """Return small pictures of every way in which deep values are read."""
    draw = np.random.default_rng(0)
    colours = draw.integers(0, 4096, (16, 24, 4)).astype(np.uint16)
    floats = draw.normal(size=(16, 24))
    return [
        *(png16(colours[..., :bands]) for bands in (1, 2, 3, 4)),
        tiff(colours[..., :3], photometric="rgb"),
        tiff(colours[..., :3], photometric="rgb", planarconfig="separate"),
        tiff(np.dstack([colours, colours]), compression="zlib"),
        tiff(np.dstack([colours, colours]).astype(np.uint8)),
        tiff(floats),
        tiff(floats.astype(np.float32), tile=(16, 16), bigtiff=True),
        tiff(colours[..., 0].astype(np.int32), byteorder=">"),
    ]
