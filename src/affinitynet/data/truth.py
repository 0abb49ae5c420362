"""Ground truth of an image, in the forms that collections have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.data.masks import SizeError, load_mask
from affinitynet.data.pixels import Frame, read_frame, turned
from affinitynet.errors import InputError, Problems
from affinitynet.records import GroundTruth

_TURNED = "masks drawn on the photograph as it is stored, which EXIF turns; they were turned with it"
_EITHER = "masks of photographs that EXIF turns, which fit either way; they were taken as drawn on the turned one"


def upright_labels(truth: GroundTruth, image: Path, problems: Problems | None = None) -> np.ndarray:
    """Return the stored label values uint8 [H, W] of ground truth, as the upright image is seen.

    Some tools draw on a photograph as EXIF wants it to be shown, others on it as it is stored; the size tells which.

    Args:
        image: the image file.
        problems: takes note of masks that were turned, or could be.

    Raises:
        InputError: the ground truth cannot be read or does not fit the image.
    """
    frame = read_frame(image)
    try:
        labels = truth.labels(frame.size)
    except SizeError as error:
        if frame.orientation == 1:
            raise
        labels, rule = turned(_as_stored(truth, frame, error), frame.orientation), _TURNED
    else:
        rule = _EITHER if frame.orientation != 1 and frame.size == frame.stored else ""
    if problems is not None and rule:
        problems.taken(rule, str(truth))
    return labels


def _as_stored(truth: GroundTruth, frame: Frame, error: SizeError) -> np.ndarray:
    try:
        return truth.labels(frame.stored)
    except SizeError:
        height, width = frame.stored
        raise InputError(f"{error} (the photograph is turned by EXIF; it is stored as {width} x {height})") from None


@dataclass(frozen=True)
class PngMask:
    """A mask that somebody drew, in a file of its own.

    Args:
        file: PNG, TIFF ..., see :func:`load_mask`.

    Example:
        >>> str(PngMask(Path("masks/a.png")))
        'masks/a.png'
    """

    file: Path

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the stored label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file is missing, or has the wrong format or size.
        """
        return load_mask(self.file, size)
