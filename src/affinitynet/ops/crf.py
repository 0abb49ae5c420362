"""Fully connected CRF with Gaussian edge potentials (Krähenbühl & Koltun, NIPS 2011)."""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor

from affinitynet.config.settings import CRFParams
from affinitynet.ops.lattice import PermutohedralLattice

FLOOR = 1e-5  # lowest initial probability of a label, as in the original


def dense_crf(image: Tensor, scores: Tensor, params: CRFParams | None = None) -> Tensor:
    """Refine label scores by mean-field inference in a fully connected CRF.

    With unaries U = -log(clip(p, 1e-5, 1)) and Q_0 = softmax(-U), every iteration is
    Q = softmax(-U + sum_k w_k K_k Q), K_k being the symmetrically normalised filter of kernel k
    (smoothness over position; appearance over position and colour). The lattices depend only
    on the image, so all problems and labels share them.

    Args:
        image: uint8 [H, W, 3] RGB.
        scores: float [L, H, W], or [B, L, H, W] for B problems on the same image, in [0, 1]; they
            need not sum to 1.
        params: kernels and iterations.

    Returns:
        Probabilities float32 of the shape of ``scores``, summing to 1 over labels.

    Raises:
        ValueError: shapes do not fit, the image is not uint8, or a score is not a number.

    Example:
        >>> image = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
        >>> tuple(dense_crf(image, torch.rand(2, 3, 20, 30)).shape)
        (2, 3, 20, 30)
    """
    return DenseCRF(image, params)(scores)


class DenseCRF:
    """The dense CRF of one image: its lattices are built once, for any number of problems one after the other.

    Args:
        image: uint8 [H, W, 3].
        params: kernels and iterations.

    Example:
        >>> crf = DenseCRF(torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8))
        >>> tuple(crf(torch.rand(3, 20, 30)).shape)
        (3, 20, 30)
    """

    def __init__(self, image: Tensor, params: CRFParams | None = None) -> None:
        self._image, self._params = image, params or CRFParams()

    @cached_property
    def _kernels(self) -> list[tuple[PermutohedralLattice, float]]:
        return _kernels(self._image, self._params)

    def __call__(self, scores: Tensor) -> Tensor:
        """Return the probabilities that follow from scores; see :func:`dense_crf`."""
        _check(self._image, scores)
        if scores.shape[-3] == 1 or not scores.numel():
            return torch.ones_like(scores, dtype=torch.float32)
        logits = scores.float().reshape(-1, *scores.shape[-3:]).flatten(2).clamp(FLOOR, 1).log_()  # [B, L, N]
        # Only differences against label 0 matter. Filtering Q_l - Q_0 = Q_l + sum_j Q_j - 1 instead of every
        # label halves the work where there are two, and keeps labels that are equal exactly equal.
        unary = (logits[:, 1:] - logits[:, :1]).permute(2, 0, 1).contiguous()  # [N, B, L - 1]
        q = _softmax_against_first(unary)
        for _ in range(self._params.iterations):
            total = q.sum(2, keepdim=True) if q.shape[2] > 1 else q
            advantage = (q + total).sub_(1).flatten(1)
            logits = unary.flatten(1)
            for lattice, weight in self._kernels:
                logits = lattice.filter_onto(logits, advantage, weight)
            q = _softmax_against_first(logits.view_as(q))
        full = torch.empty_like(scores, dtype=torch.float32, memory_format=torch.contiguous_format)
        by_problem = full.view(-1, *scores.shape[-3:]).flatten(2)  # [B, L, N]
        by_problem[:, 1:] = q.permute(1, 2, 0)
        by_problem[:, 0] = 1 - q.sum(2).T
        return full.clamp_(0, 1)


def _check(image: Tensor, scores: Tensor) -> None:
    if not isinstance(image, Tensor) or not isinstance(scores, Tensor):
        raise ValueError("image and scores must be tensors; wrap arrays in torch.from_numpy")
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
    if scores.ndim not in (3, 4) or scores.shape[-2:] != image.shape[:2] or scores.shape[-3] == 0:
        raise ValueError(
            f"scores must be [L, H, W] or [B, L, H, W] with L > 0 and the image's H, W = "
            f"{list(image.shape[:2])}, got {list(scores.shape)}"
        )
    if scores.numel() and not torch.stack(scores.aminmax()).isfinite().all():
        raise ValueError("scores contain NaN or infinity; fix the code that computed them")


def _softmax_against_first(logits: Tensor) -> Tensor:
    """Return softmax([0, logits]) without its first label; one label is a plain sigmoid."""
    if logits.shape[2] == 1:
        return torch.sigmoid(logits)
    top = logits.amax(2, keepdim=True).clamp_(min=0) if logits.shape[2] else logits
    exponential = torch.exp(logits - top)
    return exponential / (exponential.sum(2, keepdim=True) + torch.exp(-top))


def _kernels(image: Tensor, params: CRFParams) -> list[tuple[PermutohedralLattice, float]]:
    """Return the smoothness and the appearance filter with their Potts weights."""
    height, width = image.shape[:2]
    place = _positions(height, width, image.device)
    colour = image.reshape(-1, 3).T.float()
    features = torch.cat([place / params.bilateral_sxy, colour / params.bilateral_srgb])
    smoothness = _smoothness_lattice(height, width, params.gaussian_sxy, image.device)
    return [
        (smoothness, params.gaussian_compat),
        (PermutohedralLattice(features), params.bilateral_compat),
    ]


def _positions(height: int, width: int, device: torch.device) -> Tensor:
    """Return the x and the y of every pixel, float32 [2, H W], row by row."""
    rows = torch.arange(height, dtype=torch.float32, device=device)
    columns = torch.arange(width, dtype=torch.float32, device=device)
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)])


@lru_cache(maxsize=8)
def _smoothness_lattice(height: int, width: int, sxy: float, device: torch.device) -> PermutohedralLattice:
    """Return the filter over positions; images of the same size share it."""
    return PermutohedralLattice(_positions(height, width, device) / sxy)
