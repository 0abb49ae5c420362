"""Soft Dice loss, which weighs a class by its overlap and not by its number of pixels (Milletari et al., 3DV 2016)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from affinitynet.records import IGNORE

SMOOTH = 1.0  # pixel, so that a class of one pixel has a gradient


def dice_loss(logits: Tensor, labels: Tensor, mean_count: Callable[[Tensor], Tensor] = lambda count: count) -> Tensor:
    """Return 1 - Dice, the mean over the classes in each image's labels; 0 where there are none.

    For probabilities p and labels t in {0, 1} of a class, Dice = (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), over the
    pixels of an image whose label is known. Of classes that are not in an image's labels nothing is said, nor of
    background: cross-entropy keeps them out.

    Args:
        logits: floating [B, C + 1, H, W], background first.
        labels: int64 [B, H, W], 255 unknown.
        mean_count: number of classes in the images here -> its mean over the processes that share the batch.

    Returns:
        float32 scalar in [0, 1].

    Example:
        >>> labels = torch.tensor([[[0, 0, 1, 255]]])
        >>> certain = 20.0 * torch.tensor([[[[1.0, 1, 0, 0]], [[0.0, 0, 1, 1]]]])
        >>> round(float(dice_loss(certain, labels)), 3), round(float(dice_loss(-certain, labels)), 3)
        (0.0, 0.75)
    """
    losses = []
    for scores, truth in zip(logits, labels, strict=True):
        known = truth != IGNORE
        classes = [label for label in truth[known].unique().tolist() if label]
        if not classes:
            continue
        found = scores.float().softmax(0)[classes] * known
        wanted = truth == torch.tensor(classes, device=truth.device)[:, None, None]
        both, either = (found * wanted).sum((1, 2)), found.sum((1, 2)) + wanted.sum((1, 2))
        losses.append(1 - (2 * both + SMOOTH) / (either + SMOOTH))
    total = torch.cat(losses).sum() if losses else logits.sum() * 0.0
    count = mean_count(torch.tensor(float(sum(map(len, losses))), device=logits.device))
    return total / count.clamp(min=1.0)
