"""Probabilities of the segmentation network, some rows of the image at a time.

What the network computes of the whole image hardly grows with the number of classes; logits and probabilities at the
size of the image do, so only those of a strip are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.models.segmenter import Coarse, Segmenter
from affinitynet.ops.rows import enlarge_rows, lines_between

STRIP_NUMBERS = 2**22
"""Probabilities in memory at a time; an image of up to so many (20 classes at 500 x 375) is one strip."""


@dataclass(frozen=True)
class View:
    """An image at one scale, plain, mirrored or both, as far as the network has to see it whole.

    Args:
        model: the segmentation network.
        coarse: what its :meth:`Segmenter.coarse` makes of the image as often as it is seen.
        size: (H, W) of the image at this scale.
        mirrored: of each time, whether it is seen mirrored.
    """

    model: Segmenter
    coarse: Coarse
    size: tuple[int, int]
    mirrored: tuple[bool, ...]

    def strongest(self) -> Tensor:
        """Return the highest probability of each label, about: float32 [C + 1], before anything is enlarged."""
        return self.model.padded_logits(self.coarse).float().softmax(1).amax((0, 2, 3))

    def probabilities(self, start: int, stop: int, size: tuple[int, int]) -> Tensor:
        """Return the sum of the probabilities each time, float32 [C + 1, stop - start, W] of ``size`` (H, W)."""
        if (start, stop) == (0, size[0]):
            return F.interpolate(self._rows(0, self.size[0])[None], size, mode="bilinear", align_corners=False)[0]
        if size == self.size:
            return self._rows(start, stop)
        lines = lines_between(self.size[0], size[0]).between(start, stop)
        first, last = int(lines.low[0]), int(lines.high[-1]) + 1
        return enlarge_rows(self._rows(first, last), first, lines, size[1])

    def _rows(self, start: int, stop: int) -> Tensor:
        """Return rows of the sum at the view's own size."""
        each = (
            self._logits(self.coarse.image(number), start, stop).softmax(1)[0].flip([-1] if mirrored else [])
            for number, mirrored in enumerate(self.mirrored)
        )
        return reduce(Tensor.add_, each)

    def _logits(self, coarse: Coarse, start: int, stop: int) -> Tensor:
        if (start, stop) == (0, self.size[0]):
            return self.model.logits(coarse, self.size)
        height, width = self.model.padded(self.size)
        lines = lines_between(coarse.features.shape[2], height, self.model.aligned).between(start, stop)
        first, last = int(lines.low[0]), int(lines.high[-1]) + 1
        logits = self.model.coarse_logits(coarse, first, last)
        rows = enlarge_rows(logits.float(), first, lines, width, self.model.aligned)
        # Rounded as the network's own enlargement rounds them, or strips would decide otherwise than whole images.
        return rows.to(logits.dtype if self.model.aligned else rows.dtype).float()[..., : self.size[1]]


def strips(views: Sequence[View], size: tuple[int, int]) -> Iterator[Tensor]:
    """Yield the mean probabilities float32 [C + 1, rows, W] over all views, from the top to the bottom of the image.

    Args:
        size: (H, W) of the image.
    """
    height, width = size
    labels = len(views[0].model.classes) + 1
    step = max(1, STRIP_NUMBERS // (labels * width))
    for start in range(0, height, step):
        stop = min(start + step, height)
        total = torch.zeros(labels, stop - start, width, device=views[0].coarse.features.device)
        for view in views:
            total += view.probabilities(start, stop, size)
        yield total.div_(sum(len(view.mirrored) for view in views))
