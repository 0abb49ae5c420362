"""Which classes an image, or a crop of it, shows: what its tags and its labels say of that."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.records import IGNORE


def presence_loss(
    logits: Tensor, labels: Tensor, tags: Tensor, mean_count: Callable[[Tensor], Tensor] = lambda count: count
) -> Tensor:
    """Return the binary cross-entropy of a crop's classes, the mean where it is known which it shows.

    A crop shows the classes of its labels; those the image is not tagged with it does not show. Of a tagged class
    without a pixel nothing is known: it may lie outside the crop, or its mask may have missed it.

    Args:
        logits: floating [B, C] of the classes.
        labels: int64 [B, H, W], 0 background, class + 1, 255 unknown.
        tags: float [B, C], 0 or 1, of the whole images.
        mean_count: number of known classes here -> its mean over the processes that share the batch.

    Returns:
        float32 scalar.

    Example:
        >>> labels, tags = torch.tensor([[[0, 1, 255]]]), torch.tensor([[1.0, 1.0, 0.0]])
        >>> right, wrong = torch.tensor([[9.0, 0.0, -9.0]]), torch.tensor([[-9.0, 0.0, 9.0]])
        >>> round(float(presence_loss(right, labels, tags)), 3), round(float(presence_loss(wrong, labels, tags)), 3)
        (0.0, 9.0)
    """
    every_label = torch.zeros(len(logits), IGNORE + 1, device=logits.device)
    shown = every_label.scatter_(1, labels.flatten(1), 1.0)[:, 1 : logits.shape[1] + 1]
    known = torch.maximum(shown, 1 - tags)
    each = F.binary_cross_entropy_with_logits(logits.float(), shown, reduction="none")
    return (each * known).sum() / mean_count(known.sum()).clamp(min=1.0)
