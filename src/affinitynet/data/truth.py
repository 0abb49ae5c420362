"""Ground truth of an image, in the forms that collections have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.data.images import load_mask


@dataclass(frozen=True)
class PngMask:
    """A mask that somebody drew, in an 8-bit palette or grayscale PNG.

    Args:
        file: the PNG.

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
