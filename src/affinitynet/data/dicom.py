"""DICOM: the first frame of X-ray, CT, MR and ultrasound files, with pydicom (the extra ``dicom``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.data.tiff import LARGEST
from affinitynet.errors import InputError, one_line
from affinitynet.records import ValueRange


@dataclass(frozen=True)
class DicomImage:
    """The first frame of a file.

    Args:
        values: [H, W] rescaled values, or [H, W, 3] RGB.
        measured: bool of the same shape, without padding.
        window: values that are to be black and white, if the file says so.
        inverted: whether the lowest value is white.
        frames: how many there are.
    """

    values: np.ndarray
    measured: np.ndarray
    window: ValueRange | None
    inverted: bool
    frames: int


def dicom_size(path: Path) -> tuple[int, int]:
    """Return (H, W) from the header.

    Raises:
        InputError: it holds no picture, or pydicom is not installed.
    """
    header = _header(path, pixels=False)
    return int(header.Rows), int(header.Columns)


def read_dicom(path: Path) -> DicomImage:
    """Read the first frame.

    Raises:
        InputError: it is damaged, holds no picture, or is compressed in a way that needs another package.
    """
    header = _header(path, pixels=True)
    try:
        from pydicom.pixels import pixel_array

        stored = pixel_array(header, index=0)
        values = _rescaled(header, stored)
        measured = np.ones(stored.shape, bool)
        if (padding := header.get("PixelPaddingValue")) is not None:
            measured &= stored != padding
        inverted = header.PhotometricInterpretation == "MONOCHROME1"
        return DicomImage(values, measured, _window(header), inverted, int(header.get("NumberOfFrames") or 1))
    except Exception as error:  # damaged files may raise anything
        raise InputError(
            f"{path}: its picture cannot be read ({one_line(error) or type(error).__name__}); "
            "save it uncompressed, or export it as PNG or TIFF"
        ) from None


def _header(path: Path, pixels: bool) -> Any:
    """Read the header, and the pixels if they are wanted."""
    try:
        from pydicom import config, dcmread
    except ImportError:
        raise InputError(f"{path}: is a DICOM file; pip install 'affinitynet[dicom]'") from None
    config.settings.reading_validation_mode = config.IGNORE
    try:
        header = dcmread(path, stop_before_pixels=not pixels)
        rows, columns, samples = int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel", 1))
        frames, bits = int(header.get("NumberOfFrames") or 1), int(header.BitsAllocated)
    except Exception:  # as above
        raise InputError(f"{path}: a DICOM file without a picture; remove it") from None
    if rows < 1 or columns < 1 or min(samples, frames, bits) < 1 or rows * columns * samples * bits > 8 * LARGEST:
        raise InputError(f"{path}: {columns} x {rows} pixels of {samples} values cannot be read; make it smaller")
    return header


def _rescaled(header: Any, stored: np.ndarray) -> np.ndarray:
    slope, intercept = float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0)
    if slope == 1 and intercept == 0:
        return stored
    if slope.is_integer() and intercept.is_integer() and abs(slope) + abs(intercept) < 2**15:
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _window(header: Any) -> ValueRange | None:
    centre, width = (_first(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not width >= 1:
        return None
    return ValueRange(centre - width / 2, centre + width / 2)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:
        return float(value[0])
