"""The decision: what a step found, by the settings of ``masks``, to the scores whose strongest label is the mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from affinitynet.config.adaptation import given, seed_crf
from affinitynet.config.settings import CRFParams, MaskConfig, PipelineConfig
from affinitynet.ops.crf import dense_crf
from affinitynet.ops.decision import enlarge, walked_scores
from affinitynet.ops.seeds import background_score, confident_seeds, threshold_seeds
from affinitynet.records import BACKGROUND, ScoreMaps, Seeds, Walk


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
    background = masks.threshold if masks.threshold is not None else walk.background_of(given(masks.alpha))
    scores = walked_scores(walk, size, background, masks.relative)
    if masks.crf and len(scores) > 1:
        return dense_crf(torch.from_numpy(image().copy()).to(scores.device), scores, crf)
    return scores


@torch.inference_mode()
def find_seeds(image: np.ndarray, cams: ScoreMaps, config: PipelineConfig, device: torch.device) -> Seeds:
    """Return the dense CRF's scores of an image uint8 [H, W, 3], at a low and at a high strength of its background.

    Example:
        >>> from affinitynet.config.adaptation import adapted
        >>> blank, maps = np.zeros((8, 8, 3), np.uint8), ScoreMaps((0,), torch.rand(1, 8, 8))
        >>> find_seeds(blank, maps, adapted(PipelineConfig()), torch.device("cpu")).low.shape
        torch.Size([2, 8, 8])
    """
    low, high = _sharpened(image, cams, config, device, 2)
    return Seeds(cams.classes, low, high)


@torch.inference_mode()
def crf_scores(image: np.ndarray, cams: ScoreMaps, config: PipelineConfig, device: torch.device) -> Tensor:
    """Return the low scores of :func:`find_seeds` alone, which masks of ``masks.source: crf`` are decided from."""
    return _sharpened(image, cams, config, device, 1)[0]


def _sharpened(image: np.ndarray, cams: ScoreMaps, config: PipelineConfig, device: torch.device, count: int) -> Tensor:
    """Return the dense CRF's scores [A, K + 1, H, W] at the first ``count`` of the strengths, the low one first."""
    pixels, maps = torch.from_numpy(image.copy()).to(device), cams.scores.to(device)
    settings, crf = config.seeds, seed_crf(config)
    if settings.thresholds is not None:
        confident = settings.thresholds[::-1][:count]
        return threshold_seeds(pixels, maps, confident, settings.certainty, crf)
    alphas = (given(settings.low_alpha), given(settings.high_alpha))[:count]
    return confident_seeds(pixels, maps, alphas, crf)


def map_scores(cams: ScoreMaps, alpha: float) -> Tensor:
    """Return the scores of activation maps by themselves, float32 [K + 1, H, W], background first.

    Example:
        >>> map_scores(ScoreMaps((0,), torch.full((1, 1, 1), 0.75)), 1.0).flatten()
        tensor([0.2500, 0.7500])
    """
    return torch.cat([background_score(cams.scores, alpha)[None], cams.scores])


PLACE = 0.5
"""How far from its least to its greatest value a map shows the strongest place: its full width at half maximum."""


def keep_tags(mask: np.ndarray, cams: ScoreMaps) -> tuple[np.ndarray, list[int], list[int]]:
    """Give each tagged class that a mask lacks the place where it is strongest.

    That is where its map is above the middle of its range, as far as no other class is there, or one that has pixels
    elsewhere: the probabilities of a class that was hardly learnt are alike everywhere.
    A class whose map is empty, or whose place is all that another class has, cannot be helped.

    Args:
        mask: uint8 [H, W].
        cams: activation maps of the tagged classes, at the size the image was labelled at.

    Returns:
        The mask, the 0-based classes that were added, and those it still lacks.

    Example:
        >>> maps = ScoreMaps((3,), torch.tensor([[[0.1, 0.3], [0.0, 0.2]]]))
        >>> keep_tags(np.zeros((2, 2), np.uint8), maps)[:2]
        (array([[0, 4],
               [0, 4]], dtype=uint8), [3])
    """
    present = set(np.unique(mask).tolist())
    added, missing = [], []
    for number, scores in zip(cams.classes, cams.scores, strict=True):
        if number + 1 in present:
            continue
        lowest, highest = float(scores.min()), float(scores.max())
        if highest <= 0:
            missing.append(number)
            continue
        place = enlarge((scores >= lowest + PLACE * (highest - lowest)).cpu().numpy(), mask.shape)
        free = place & (mask == BACKGROUND)
        if not free.any():  # then of the classes that have pixels elsewhere, too
            elsewhere = np.unique(mask[~place])
            free = place & np.isin(mask, elsewhere)
        if not free.any():
            missing.append(number)
            continue
        mask = np.where(free, np.uint8(number + 1), mask)
        added.append(number)
    return mask, added, missing
