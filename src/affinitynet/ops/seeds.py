"""From class activation maps to scores with a background, and to confident seeds (paper, section 3.2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from affinitynet.ops.crf import CRFParams, dense_crf
from affinitynet.records import BACKGROUND, IGNORE


def background_score(cams: Tensor, alpha: float) -> Tensor:
    """Return (1 - max_c cam)^alpha: the confidence that no class is present.

    Args:
        cams: float [K, H, W] in [0, 1]; K may be 0.
        alpha: above 0; higher means less background.

    Returns:
        [H, W] in [0, 1]; ones where K is 0.

    Raises:
        ValueError: ``cams`` is not floating [K, H, W].

    Example:
        >>> background_score(torch.tensor([[[0.5, 0.0]]]), 2)
        tensor([[0.2500, 1.0000]])
    """
    if cams.ndim != 3 or not cams.is_floating_point():
        raise ValueError(f"cams must be floating [K, H, W], got {cams.dtype} {list(cams.shape)}")
    strongest = cams.amax(0) if len(cams) else cams.new_zeros(cams.shape[1:])
    return (1 - strongest).clamp(min=0) ** alpha


def confident_seeds(
    image: Tensor, cams: Tensor, alphas: Sequence[float] = (4, 32), params: CRFParams | None = None
) -> Tensor:
    """Return the dense CRF's scores of [background, cams] for each background strength.

    Confident foreground is where a class wins at a low alpha, confident background where it wins
    at a high one; this is how :func:`affinitynet.ops.affinity.affinity_labels` uses them.

    Args:
        image: uint8 [H, W, 3] RGB.
        cams: float [K, H, W] in [0, 1].
        alphas: A background strengths.
        params: of the CRF.

    Returns:
        float32 [A, K + 1, H, W], background first.

    Raises:
        ValueError: as :func:`dense_crf`.

    Example:
        >>> image = torch.zeros(16, 16, 3, dtype=torch.uint8)
        >>> tuple(confident_seeds(image, torch.rand(2, 16, 16)).shape)
        (2, 3, 16, 16)
    """
    if not len(cams):
        return cams.new_ones(len(alphas), 1, *cams.shape[1:], dtype=torch.float32)
    problems = [torch.cat([background_score(cams, alpha)[None], cams]) for alpha in alphas]
    return dense_crf(image, torch.stack(problems), params)


def threshold_seeds(
    image: Tensor,
    cams: Tensor,
    thresholds: Sequence[float] = (0.3, 0.05),
    certainty: float = 0.7,
    params: CRFParams | None = None,
) -> Tensor:
    """Return the dense CRF's scores of the labels that each constant background leaves (IRNet's seeds).

    Confident foreground is where a class wins against a high threshold, confident background where the background
    wins against a low one.

    Args:
        image: uint8 [H, W, 3] RGB.
        cams: float [K, H, W] in [0, 1].
        thresholds: A constant background scores.
        certainty: probability of a pixel's label before the CRF, above that of the others, which share the rest.
        params: of the CRF.

    Returns:
        float32 [A, K + 1, H, W], background first.

    Raises:
        ValueError: as :func:`dense_crf`.

    Example:
        >>> image = torch.zeros(8, 8, 3, dtype=torch.uint8)
        >>> found = threshold_seeds(image, torch.full((1, 8, 8), 0.2))
        >>> found.argmax(1).flatten(1).unique(dim=1).tolist()
        [[0], [1]]
    """
    count = len(cams)
    if not count:
        return cams.new_ones(len(thresholds), 1, *cams.shape[1:], dtype=torch.float32)
    problems = []
    for threshold in thresholds:
        labels = torch.cat([torch.full_like(cams[:1], threshold), cams]).argmax(0)
        scores = torch.full((count + 1, *labels.shape), (1 - certainty) / count, device=cams.device)
        problems.append(scores.scatter_(0, labels[None], certainty))
    return dense_crf(image, torch.stack(problems), params)


def certain_scores(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the low and high scores that say of pixels what a drawn mask says, and nothing where it is 255.

    Args:
        labels: uint8 [H, W]; 0 background, class + 1, 255 unknown.

    Returns:
        float32 [K + 1, H, W] twice, 0 or 1, background first, of the K classes in the mask in ascending order.

    Example:
        >>> low, high = certain_scores(torch.tensor([[0, 7, 255]], dtype=torch.uint8))
        >>> low.tolist(), high.tolist()
        ([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]], [[[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]]])
    """
    classes = [value for value in labels.unique().tolist() if value not in (BACKGROUND, IGNORE)] or [1]
    known = torch.stack([labels == value for value in (BACKGROUND, *classes)]).float()
    low, high, unknown = known, known.clone(), labels == IGNORE
    low[0, unknown], high[1, unknown] = 1, 1
    return low, high
