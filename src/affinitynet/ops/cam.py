"""Multi-scale class activation maps (Zhou et al., CVPR 2016; docs/method.md, "Class activation maps")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MAXIMUM_FLOOR = 1e-5  # for a class without any activation (docs/method.md, "Class activation maps")


def class_activation_maps(maps: Sequence[Tensor], size: tuple[int, int], multiple: int = 1) -> Tensor:
    """Fuse the activation maps of several image scales and their mirror images.

    Every map is resized bilinearly to ``size``, mirrored ones are mirrored back, all are summed,
    and each class is divided by its maximum + 1e-5.

    Args:
        maps: one float tensor [2, K, h, w] per scale, at least 0: the maps of the image and of its
            mirror image.
        size: (H, W) of the image.
        multiple: maps are enlarged to the next multiples of it and cut at the right and at the bottom; 16 for IRNet.

    Returns:
        float32 [K, H, W] in [0, 1).

    Raises:
        ValueError: no maps, or they are not floating [2, K, h, w] with the same K.

    Example:
        >>> half = torch.rand(2, 3, 4, 6)
        >>> tuple(class_activation_maps([half, torch.rand(2, 3, 8, 12)], (32, 48)).shape)
        (3, 32, 48)
    """
    if not maps or any(m.ndim != 4 or m.shape[:2] != (2, maps[0].shape[1]) for m in maps):
        raise ValueError(f"maps must be [2, K, h, w] with the same K, got {[list(m.shape) for m in maps]}")
    height, width = (-(-side // multiple) * multiple for side in size)
    total = torch.zeros(maps[0].shape[1], height, width, device=maps[0].device)
    if not len(total):
        return total[:, : size[0], : size[1]]
    for plain, mirrored in maps:
        # Resizing is linear and symmetric: adding first halves its cost.
        both = plain.float() + mirrored.float().flip(-1)
        total += F.interpolate(both[None], (height, width), mode="bilinear", align_corners=False)[0]
    total = total[:, : size[0], : size[1]]
    return total / (total.amax((1, 2), keepdim=True) + MAXIMUM_FLOOR)
