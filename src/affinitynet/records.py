"""The words every room shares: label values, records, and the error a user sees.

Everything here is checked when it is made, so that the rooms above need not check again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.errors import InputError

BACKGROUND = 0
"""Mask value of background; class ``c`` (0-based) has mask value ``c + 1``."""

IGNORE = 255
"""Mask value of pixels that neither train nor count."""

MAX_CLASSES = 254
"""A mask is an 8-bit PNG: 0 is background, 255 is ignore, so 254 classes fit."""


@dataclass(frozen=True)
class TaggedImage:
    """One photograph and what is known of it.

    Args:
        name: Artifact name: the path below the image folder with ``/`` between folders and,
            where that stays unique, without the extension. Never leads outside a folder.
        path: The image file.
        tags: 0-based class numbers in ascending order; empty for an image without any object.
        mask: Ground truth for evaluation, or ``None``. Never read by a training stage.

    Raises:
        InputError: ``name`` is empty, absolute or climbs out of its folder.

    Example:
        >>> TaggedImage("beach/dog 1", Path("beach/dog 1.jpg"), (4,)).tags
        (4,)
    """

    name: str
    path: Path
    tags: tuple[int, ...] = ()
    mask: Path | None = None

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if not self.name or any(part in ("", ".", "..") for part in parts) or "\\" in self.name:
            raise InputError(f"image name {self.name!r} leads outside its folder: name a file below the image folder")
        if list(self.tags) != sorted(set(self.tags)):
            raise ValueError(f"tags of {self.name!r} must be ascending and unique, got {self.tags}")


@dataclass(frozen=True)
class ScoreMaps:
    """Scores of the classes that are tagged in one image.

    Args:
        classes: int64 [K], 0-based class numbers, ascending.
        scores: floating [K, H, W] in [0, 1].

    Raises:
        ValueError: shapes do not fit each other, or a score is not a number in [0, 1].

    Example:
        >>> maps = ScoreMaps(np.array([2]), np.zeros((1, 4, 6), np.float32))
        >>> maps.scores.shape
        (1, 4, 6)
    """

    classes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.scores.ndim != 3 or self.classes.shape != self.scores.shape[:1]:
            raise ValueError(
                f"scores must be [K, H, W] with K = len(classes), got scores {self.scores.shape} "
                f"and classes {self.classes.shape}"
            )
        if self.scores.size and not (self.scores.min() >= 0 and self.scores.max() <= 1):
            raise ValueError("scores must be numbers in [0, 1]")
