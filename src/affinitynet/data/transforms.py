"""Random augmentation of training images, applied alike to an image and to the maps that belong to it.

All randomness comes from torch's global generator, so that one seed per sample determines it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

Window: TypeAlias = tuple[slice, slice]


def normalise(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn an RGB image [..., 3, H, W] in [0, 255] into a network's float32 input.

    Args:
        mean, std: per channel, for images in [0, 1].

    Example:
        >>> normalise(torch.full((3, 1, 1), 255), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).flatten()
        tensor([1., 1., 1.])
    """
    shape = (3, 1, 1)
    return (image.float() / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def to_tensor(image: np.ndarray) -> Tensor:
    """Turn an image uint8 [H, W, 3] into a tensor uint8 [3, H, W]."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [H, W, 3] to ``size`` (H, W) by PIL's bicubic filter, as in the original.

    Example:
        >>> resize(np.zeros((8, 6, 3), np.uint8), (4, 3)).shape
        (4, 3, 3)
    """
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def reduced(image: np.ndarray, longest_side: int | None) -> np.ndarray:
    """Return an image uint8 [H, W, 3] whose long side is at most ``longest_side``: the image itself, or a smaller copy.

    Example:
        >>> reduced(np.zeros((80, 60, 3), np.uint8), 40).shape, reduced(np.zeros((8, 6, 3), np.uint8), None).shape
        ((40, 30, 3), (8, 6, 3))
    """
    height, width = image.shape[:2]
    return resize(image, reduced_size((height, width), longest_side))


def reduced_size(size: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """Return the size (H, W) to which :func:`reduced` resizes an image of ``size``.

    Example:
        >>> reduced_size((80, 60), 40)
        (40, 30)
    """
    factor = 1.0 if longest_side is None else min(1.0, longest_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def random_resize_long(image: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """Resize so that the long side is a uniform integer in [shortest, longest] pixels."""
    side = int(torch.randint(shortest, longest + 1, ()))
    height, width = image.shape[:2]
    factor = side / max(height, width)
    return resize(image, (max(1, round(height * factor)), max(1, round(width * factor))))


def jitter_colours(image: np.ndarray, jitter: tuple[float, float, float, float]) -> np.ndarray:
    """Change the colours of an image at random, as the original does: by PIL, in half of the time that tensors take.

    Args:
        image: uint8 [H, W, 3].
        jitter: largest change of brightness, contrast and saturation (shares) and of hue (of the circle).

    Example:
        >>> jitter_colours(np.full((1, 1, 3), 90, np.uint8), (0, 0, 0, 0)).tolist()
        [[[90, 90, 90]]]
    """
    return np.asarray(v2.ColorJitter(*jitter)(Image.fromarray(image)))


def random_flip(*maps: Tensor) -> tuple[Tensor, ...]:
    """Mirror all maps [..., W] together, left to right, with probability 0.5."""
    return tuple(m.flip(-1) for m in maps) if torch.rand(()) < 0.5 else maps


def random_crop(size: int, *maps: Tensor) -> tuple[Tensor, ...]:
    """Cut the same random square out of all maps [C, H, W].

    A side shorter than ``size`` is kept whole at a random position in a canvas of zeros.

    Returns:
        Maps [C, size, size].

    Example:
        >>> [tuple(m.shape) for m in random_crop(4, torch.ones(3, 2, 9), torch.ones(1, 2, 9))]
        [(3, 4, 4), (1, 4, 4)]
    """
    source, target = random_windows(size, maps[0].shape[1:])
    return tuple(on_canvas(size, full[:, source[0], source[1]], target) for full in maps)


def random_windows(size: int, shape: Sequence[int], within: tuple[int, int] | None = None) -> tuple[Window, Window]:
    """Return a random square of an image, and where it lies on a canvas of ``size`` x ``size``.

    Args:
        shape: (H, W) of the image; a side shorter than ``size`` is whole, at a random position.
        within: a pixel (row, column) that has to be in the square; ``None``: none has to.

    Example:
        >>> random_windows(4, (4, 9), within=(0, 8))
        ((slice(0, 4, None), slice(5, 9, None)), (slice(0, 4, None), slice(0, 4, None)))
    """
    sides = zip(shape, within or (None, None), strict=True)
    (top, above), (left, beside) = (_window(side, size, wanted) for side, wanted in sides)
    return (top, left), (above, beside)


def on_canvas(size: int, cut: Tensor, target: Window) -> Tensor:
    """Put what was cut out, [C, h, w], on a canvas of zeros [C, size, size]."""
    canvas = cut.new_zeros(cut.shape[0], size, size)
    canvas[:, target[0], target[1]] = cut
    return canvas


def _window(side: int, size: int, wanted: int | None) -> tuple[slice, slice]:
    """Return matching slices of a side and of the canvas; that of a side has the wanted pixel in it."""
    first, last = 0, abs(side - size)
    if wanted is not None and side > size:
        first, last = max(0, wanted - size + 1), min(last, wanted)
    offset = int(torch.randint(first, last + 1, ()))
    length = min(side, size)
    inside, whole = slice(offset, offset + length), slice(0, length)
    return (inside, whole) if side > size else (whole, inside)
