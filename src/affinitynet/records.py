"""Label values, and what passes from stage to stage.

Everything here is checked when it is made, so that the rooms above need not check again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from affinitynet.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BACKGROUND = 0
"""Mask value of background; class ``c`` (0-based) has mask value ``c + 1``."""

IGNORE = 255
"""Mask value of pixels that neither train nor count."""

MAX_CLASSES = 254
"""A mask is an 8-bit PNG: 0 is background, 255 is ignore, so 254 classes fit."""


@dataclass(frozen=True)
class ValueRange:
    """The values of an image that become black and white; those between keep their place.

    Args:
        low: becomes 0, as does what is less.
        high: becomes 255, as does what is more.
    """

    low: float
    high: float


@dataclass(frozen=True)
class ValueRanges:
    """How images of more than 8 bits are read in a collection: all alike, so that brightness keeps its meaning.

    Args:
        integers: for images of whole numbers, if there are some.
        floats: for the others, if there are some.

    Example:
        >>> ranges = ValueRanges(ValueRange(0.0, 4095.0))
        >>> ValueRanges.from_settings(ranges.settings) == ranges
        True
    """

    integers: ValueRange | None = None
    floats: ValueRange | None = None

    @property
    def settings(self) -> dict[str, list[float]]:
        """The ranges as plain values, for JSON."""
        found = {"integers": self.integers, "floats": self.floats}
        return {name: [seen.low, seen.high] for name, seen in found.items() if seen is not None}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Sequence[float]] | None) -> ValueRanges | None:
        """Undo :attr:`settings`; ``None`` for nothing.

        Raises:
            ValueError: they are something else.
        """
        if not settings:
            return None
        try:
            found = {name: ValueRange(*map(float, bounds)) for name, bounds in settings.items()}
            return cls(**found)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"not ranges of values ({error})") from None


VALUES = "values"
"""Name of the ranges in the settings that are saved with a network."""


def saved_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a network's settings that say how the images were read that it was trained on."""
    return {VALUES: settings[VALUES]} if VALUES in settings else {}


class GroundTruth(Protocol):
    """What is known of an image's pixels, in whatever form a collection has it."""

    @property
    def file(self) -> Path:
        """The file whose content decides it."""

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the stored label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: it cannot be read, or does not fit the image.
        """


@dataclass(frozen=True)
class Box:
    """An object that somebody drew a box around.

    Args:
        name: of its class.
        left, top, right, bottom: in pixels; pixel 0 reaches from 0 to 1.
        difficult: to find it is not asked for, and no mistake.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    difficult: bool = False


class Boxes(Protocol):
    """The boxes of an image, in whatever form a collection has them."""

    @property
    def file(self) -> Path:
        """The file whose content decides them."""

    def boxes(self) -> tuple[Box, ...]:
        """Return them, in the order of the file.

        Raises:
            InputError: they cannot be read.
        """


@dataclass(frozen=True)
class TaggedImage:
    """One photograph and what is known of it.

    Args:
        name: Artifact name: the path below the image folder with ``/`` between folders and,
            where that stays unique, without the extension. Never leads outside a folder.
        path: The image file.
        tags: 0-based class numbers in ascending order; empty for an image without any object.
        truth: Ground truth for evaluation, or ``None``. Never read by a training stage.
        values: How an image of more than 8 bits is read; ``None``: by its own values.
        boxes: Of its objects, for evaluation, or ``None``. Never read by a training stage.
        drawn: What somebody drew for the networks to learn from, or ``None``. Never counted in an evaluation.
        rejected: Whether somebody found its mask to be of no use: nothing is learnt from that.

    Raises:
        InputError: ``name`` is empty, absolute or climbs out of its folder.

    Example:
        >>> TaggedImage("beach/dog 1", Path("beach/dog 1.jpg"), (4,)).tags
        (4,)
    """

    name: str
    path: Path
    tags: tuple[int, ...] = ()
    truth: GroundTruth | None = None
    values: ValueRanges | None = None
    boxes: Boxes | None = None
    drawn: GroundTruth | None = None
    rejected: bool = False

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if not self.name or any(part in ("", ".", "..") for part in parts) or "\\" in self.name:
            raise InputError(f"image name {self.name!r} leads outside its folder: name a file below the image folder")
        if list(self.tags) != sorted(set(self.tags)):
            raise ValueError(f"tags of {self.name!r} must be ascending and unique, got {self.tags}")


@dataclass(frozen=True)
class ScoreMaps:
    """Class activation maps of the classes that are tagged in one image.

    Args:
        classes: 0-based class numbers, ascending.
        scores: floating [K, H, W] in [0, 1].
        grid: the same maps on a coarse grid [K, h, w], where a walk starts from those.

    Raises:
        ValueError: shapes do not fit each other, or a score is not a number in [0, 1].

    Example:
        >>> import torch
        >>> ScoreMaps((2,), torch.zeros(1, 4, 6)).scores.shape
        torch.Size([1, 4, 6])
    """

    classes: tuple[int, ...]
    scores: Tensor
    grid: Tensor | None = None

    def __post_init__(self) -> None:
        _check_maps("scores", self.scores, len(self.classes))
        if self.grid is not None:
            _check_maps("grid", self.grid, len(self.classes))


@dataclass(frozen=True)
class Seeds:
    """The dense CRF's scores of one image at a low and at a high background strength.

    Args:
        classes: 0-based class numbers, ascending.
        low, high: floating [K + 1, H, W] in [0, 1], background first.

    Raises:
        ValueError: shapes do not fit each other, or a score is not a number in [0, 1].
    """

    classes: tuple[int, ...]
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        for name, scores in (("low", self.low), ("high", self.high)):
            _check_maps(name, scores, len(self.classes) + 1)
        if self.low.shape != self.high.shape:
            raise ValueError(f"low {list(self.low.shape)} and high {list(self.high.shape)} differ in shape")


@dataclass(frozen=True)
class Walk:
    """Scores of one image after the random walk.

    Args:
        classes: 0-based class numbers, ascending.
        alphas: the A background strengths that were walked.
        background: floating [A, h, w] in [0, 1], the walked (1 - max cam)^alpha.
        scores: floating [K, h, w] in [0, 1], the walked class activation maps.
        stride: pixels of the image, as it is labelled, per pixel of the scores.

    Raises:
        ValueError: shapes do not fit each other, or a score is not a number in [0, 1].

    Example:
        >>> import torch
        >>> walk = Walk((2,), (4.0, 16.0), torch.rand(2, 3, 5), torch.rand(1, 3, 5), stride=8)
        >>> bool((walk.background_of(16) == walk.background[1]).all())
        True
    """

    classes: tuple[int, ...]
    alphas: tuple[float, ...]
    background: Tensor
    scores: Tensor
    stride: int

    def __post_init__(self) -> None:
        _check_maps("scores", self.scores, len(self.classes))
        _check_maps("background", self.background, len(self.alphas))
        if self.scores.shape[1:] != self.background.shape[1:]:
            raise ValueError(f"scores {list(self.scores.shape)} and background {list(self.background.shape)} differ")

    def background_of(self, alpha: float) -> Tensor:
        """Return the walked background [h, w] of a strength.

        Raises:
            InputError: ``alpha`` is not among those that were walked.
        """
        if alpha not in self.alphas:
            raise InputError(f"masks.alpha {alpha}: only {self.alphas} were walked; choose one of them")
        return self.background[self.alphas.index(alpha)]


@dataclass(frozen=True)
class Instances:
    """The objects found in one image; no two share a pixel.

    Args:
        labels: int32 [H, W], 0 for none, the R objects from 1.
        classes: R 0-based class numbers.
        scores: R numbers in [0, 1], how sure each object is.

    Raises:
        ValueError: the parts do not fit each other.

    Example:
        >>> import numpy as np
        >>> found = Instances(np.array([[1, 1, 0]], np.int32), (3,), (0.8,))
        >>> found.mask(0).tolist()
        [[True, True, False]]
    """

    labels: np.ndarray
    classes: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.classes) == len(self.scores) >= self.labels.max(initial=0):
            raise ValueError(
                f"labels up to {self.labels.max(initial=0)}, {len(self.classes)} classes and {len(self.scores)} scores"
            )
        if not all(0 <= score <= 1 for score in self.scores):
            raise ValueError(f"scores must be numbers in [0, 1], got {self.scores}")

    def mask(self, number: int) -> np.ndarray:
        """Return the pixels of an object, counted from 0, bool [H, W]."""
        mask: np.ndarray = self.labels == number + 1
        return mask


@dataclass(frozen=True)
class Prediction:
    """The mask of an image and the scores it was decided from.

    Args:
        mask: uint8 [H, W]; 0 background, class + 1.
        classes: int64 [K], 0-based classes of the tags.
        scores: float32 [K + 1, h, w], background first, at the size the image is labelled at: its own, unless its
            long side exceeds ``longest_side``. The mask is their argmax.
        instances: the objects of the mask, where they are told apart (``propagation: irnet``); else ``None``.
    """

    mask: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    instances: Instances | None = None


def _check_maps(name: str, maps: Tensor, count: int) -> None:
    if maps.ndim != 3 or len(maps) != count:
        raise ValueError(f"{name} must be [{count}, H, W], got {list(maps.shape)}")
    if maps.numel() and not _surely_in_range(maps):
        low, high = (float(bound) for bound in maps.aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"{name} must be numbers in [0, 1], got {low} to {high}")


def _surely_in_range(maps: Tensor) -> bool:
    """Tell float16 numbers in [0, 1] by their bits, in a tenth of the time that comparing them takes.

    They lie between those of 0 and of 1, 0x3C00; -0.0 is in range too, but not surely.
    """
    import torch

    if maps.dtype != torch.float16:
        return False
    low, high = (int(bound) for bound in maps.view(torch.int16).aminmax())
    return low >= 0 and high <= 0x3C00
