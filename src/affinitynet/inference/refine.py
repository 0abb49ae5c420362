"""The decision: walked scores, by the settings of ``masks``, to the scores whose strongest label is the mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from affinitynet.config.settings import CRFParams, MaskConfig
from affinitynet.ops.crf import dense_crf
from affinitynet.ops.decision import walked_scores
from affinitynet.records import Walk


@torch.inference_mode()
def mask_scores(
    walk: Walk, size: tuple[int, ...], masks: MaskConfig, crf: CRFParams, image: Callable[[], np.ndarray]
) -> Tensor:
    """Return the scores that a mask is decided from, at the size the image is labelled at.

    Args:
        walk: scores of the image.
        size: (H, W) that the image is labelled at.
        masks: which background the classes compete with, and whether the dense CRF follows.
        crf: parameters of the dense CRF.
        image: gives the image uint8 [H, W, 3]; called only if the dense CRF follows.

    Returns:
        float32 [K + 1, H, W] in [0, 1], background first.

    Raises:
        InputError: ``masks.alpha`` is not among the walked ones.

    Example:
        >>> walk = Walk((0,), (4.0,), torch.zeros(1, 2, 3), torch.ones(1, 2, 3), stride=8)
        >>> blank = np.zeros((16, 20, 3), np.uint8)
        >>> scores = mask_scores(walk, (16, 20), MaskConfig(alpha=4.0), CRFParams(), lambda: blank)
        >>> scores.argmax(0).unique()
        tensor([1])
    """
    background = masks.threshold if masks.threshold is not None else walk.background_of(masks.alpha)
    scores = walked_scores(walk, size, background)
    if masks.crf and len(scores) > 1:
        return dense_crf(torch.from_numpy(image().copy()).to(scores.device), scores, crf)
    return scores
