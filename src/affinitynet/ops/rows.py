"""Bilinear enlargement of some rows at a time, so that no array of labels x image has to be in memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Lines(NamedTuple):
    """Between which rows of a small map the rows of a large one lie.

    Args:
        low, high: int64 [R], the row above and the row below.
        share: float32 [R] in [0, 1], that of the row below.
    """

    low: Tensor
    high: Tensor
    share: Tensor

    def between(self, start: int, stop: int) -> Lines:
        """Return those of the rows ``start`` to ``stop``."""
        return Lines(self.low[start:stop], self.high[start:stop], self.share[start:stop])


def lines_between(small: int, large: int, align_corners: bool = False) -> Lines:
    """Return between which of ``small`` rows each of ``large`` rows lies.

    Args:
        align_corners: whether the first and last rows of both coincide, as for :func:`F.interpolate`.

    Example:
        >>> lines_between(2, 4).share
        tensor([0.0000, 0.2500, 0.7500, 0.0000])
        >>> lines_between(2, 3, align_corners=True).share
        tensor([0.0000, 0.5000, 0.0000])
    """
    rows = torch.arange(large)
    place = rows * ((small - 1) / max(large - 1, 1)) if align_corners else (rows + 0.5) * small / large - 0.5
    place = place.clamp(0, small - 1)
    low = place.floor().long()
    return Lines(low, (low + 1).clamp(max=small - 1), place - low)


def enlarge_rows(maps: Tensor, first: int, lines: Lines, width: int, align_corners: bool = False) -> Tensor:
    """Return some rows of maps as :func:`F.interpolate` enlarges them, but for rounding.

    Args:
        maps: floating [..., r, w], the rows of the small maps from ``first`` on that the lines lie between.
        lines: of the R rows that are wanted.
        width: of the large maps.

    Returns:
        float32 [..., R, width].

    Example:
        >>> maps = torch.rand(1, 3, 4, 5)
        >>> rows = enlarge_rows(maps[:, :, 1:], 1, lines_between(4, 8).between(3, 8), 10)
        >>> whole = F.interpolate(maps, (8, 10), mode="bilinear")
        >>> torch.allclose(rows, whole[:, :, 3:], atol=1e-6)
        True
    """
    low, high = (line.to(maps.device) - first for line in (lines.low, lines.high))
    share = lines.share.to(maps.device)[:, None]
    band = maps[..., low, :] * (1 - share) + maps[..., high, :] * share
    flat = band.flatten(0, -3)[None]
    wide = F.interpolate(flat, (len(low), width), mode="bilinear", align_corners=align_corners)[0]
    return wide.unflatten(0, maps.shape[:-2])
