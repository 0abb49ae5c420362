"""A mask that follows clicks: what somebody says of a place spreads along what belongs together (docs/method.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from affinitynet.config.settings import CRFParams
from affinitynet.ops.crf import DenseCRF
from affinitynet.ops.decision import decide
from affinitynet.ops.geodesic import grid_graph, influence
from affinitynet.records import BACKGROUND

STRIDE = 4
"""Pixels of the image per pixel of the grid that clicks spread on."""

REACH = 4.0
"""What the lengths of ways are divided by: a click reaches as far as the product of the affinities to this root."""

COLOUR, SCORE, STEP = 2.0, 0.5, 0.02
"""Cost of a step per difference of colour (sum of the channels, in [0, 1]), of the scores, and of the step itself,
beside that of the learnt features."""

SURE = 1e-4
"""Probability of what a click contradicts, where it was made."""

SPOT = 1
"""Pixels around a click that certainly are what it says."""


CRF_SHARE, NARROWEST = 0.5, 12.0
"""Width of the dense CRF's appearance kernel beside that of the masks', and its least, in pixels: clicks are about
smaller things than whole objects."""


NEAR = 8
"""Pixels around what a click changes in which the mask follows what was found: slivers would stay between the two."""

ITERATIONS = 5
"""Of the dense CRF at most: half of those that masks are made with, so that a mask follows at once."""


@dataclass(frozen=True)
class PairsSeen:
    """What a network of pairs sees in an image, on a grid of any stride.

    Args:
        features: of AffinityNet, [D, h, w]: the mean absolute difference of two places is -log of their affinity.
        boundaries: of IRNet, [h, w] in [0, 1].
    """

    features: Tensor | None = None
    boundaries: Tensor | None = None


@dataclass(frozen=True)
class Click:
    """What somebody says of a place.

    Args:
        x, y: pixel, from the left and from the top.
        label: 0-based class that it belongs to; ``None``: background.
    """

    x: int
    y: int
    label: int | None


class ClickedMask:
    """What the networks see in one image, and the masks that follow from what somebody says of it.

    A click's influence on a place is exp(-d), d being the geodesic distance between them. A place takes the label of
    the clicks as far as they influence it, and else has the scores that were found; the dense CRF finds the pixels.

    Args:
        image: uint8 [H, W, 3].
        scores: float32 [K + 1, H, W] in [0, 1], background first.
        classes: 0-based classes of the other rows, ascending.
        seen: what a network of pairs sees; ``None`` where there is none.
        crf: parameters of the dense CRF that the masks were made with.

    Example:
        >>> image = np.zeros((16, 24, 3), np.uint8)
        >>> image[:, 12:] = 255
        >>> found = ClickedMask(image, torch.full((2, 16, 24), 0.5), (3,), None, CRFParams())
        >>> mask = found.mask([Click(4, 8, 3), Click(20, 8, None)])
        >>> int(mask[8, 8]), int(mask[8, 16])
        (4, 0)
    """

    def __init__(
        self, image: np.ndarray, scores: Tensor, classes: Sequence[int], seen: PairsSeen | None, crf: CRFParams
    ) -> None:
        pixels = torch.from_numpy(image.copy())
        self._scores, self.classes = scores.cpu().float(), tuple(classes)
        self._size = height, width = image.shape[:2]
        self._grid = (-(-height // STRIDE), -(-width // STRIDE))
        self._crf = DenseCRF(pixels, _narrower(crf))
        parts = [
            (self._on_grid(pixels.permute(2, 0, 1).float() / 255), COLOUR),
            (self._on_grid(self._scores[1:]), SCORE),
        ]
        barrier = None
        if seen is not None and seen.features is not None:
            parts.append((self._on_grid(seen.features.cpu().float()), 1 / len(seen.features)))
        if seen is not None and seen.boundaries is not None:
            free = 1 - self._on_grid(seen.boundaries.cpu().float()[None])[0]
            barrier = -free.clamp(min=SURE).log().numpy() / REACH
        weights = np.array([weight for maps, weight in parts for _ in maps]) / REACH
        self._graph = grid_graph(torch.cat([maps for maps, _ in parts]).numpy(), weights, STEP / REACH, barrier)
        self._known: dict[Click, np.ndarray] = {}
        self._last: tuple[tuple[Click, ...], np.ndarray] | None = None

    def _on_grid(self, maps: Tensor) -> Tensor:
        """Return maps [D, H, W] on the grid of the clicks."""
        if maps.shape[1] > self._grid[0]:
            return F.adaptive_avg_pool2d(maps, self._grid)
        return F.interpolate(maps[None], self._grid, mode="bilinear", align_corners=False)[0]

    @torch.inference_mode()
    def scores(self, clicks: Sequence[Click]) -> Tensor:
        """Return the scores float32 [K + 1, H, W] that follow from clicks.

        Raises:
            ValueError: a click is outside the image, or of a class that the image does not have.
        """
        said = torch.zeros(len(self.classes) + 1, *self._size)
        for click in clicks:
            row = self._row(click)
            if click not in self._known:
                place = click.y // STRIDE * self._grid[1] + click.x // STRIDE
                self._known[click] = influence(self._graph, place).astype(np.float32)
            spread = torch.from_numpy(self._known[click]).view(1, 1, *self._grid)
            full = F.interpolate(spread, self._size, mode="bilinear", align_corners=False)[0, 0]
            said[row] = torch.maximum(said[row], full)
        reached = said.amax(0)
        share = said / said.sum(0).clamp(min=torch.finfo(said.dtype).tiny)
        mixed = (1 - reached) * self._scores + reached * share
        mixed = mixed.clamp(min=SURE)
        for click in clicks:
            spot = slice(max(0, click.y - SPOT), click.y + SPOT + 1), slice(max(0, click.x - SPOT), click.x + SPOT + 1)
            mixed[:, *spot] = SURE
            mixed[self._row(click), *spot] = 1
        mixed = mixed / mixed.sum(0)
        return self._crf(mixed)

    def mask(self, clicks: Sequence[Click]) -> np.ndarray:
        """Return the mask uint8 [H, W] that follows from clicks: 0 background, class + 1.

        Raises:
            ValueError: as :meth:`scores`.
        """
        asked = tuple(dict.fromkeys(clicks))
        if self._last is None or self._last[0] != asked:
            found = decide(self.scores(asked), self.classes)
            for click in asked:
                found[click.y, click.x] = BACKGROUND if click.label is None else click.label + 1
            self._last = asked, found
        return self._last[1].copy()

    def _row(self, click: Click) -> int:
        if not (0 <= click.y < self._size[0] and 0 <= click.x < self._size[1]):
            raise ValueError(f"{click}: is not inside the image of {self._size[1]} x {self._size[0]}")
        if click.label is not None and click.label not in self.classes:
            raise ValueError(f"{click}: the image does not have this class")
        return 0 if click.label is None else list(self.classes).index(click.label) + 1


def corrected(mask: np.ndarray, without: np.ndarray, found: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return a mask [H, W] with what clicks change of it.

    The mask may differ from what the networks find without these clicks: it was made another way, or painted. It
    follows where the clicks change something, and beside that as far as it differs from what is found now, up to
    :data:`NEAR` pixels away.

    Args:
        mask: before the clicks.
        without, found: [H, W] of :meth:`ClickedMask.mask`, without these clicks and with them.
        held: bool [H, W], pixels that only a click itself may change.

    Example:
        >>> mask, without, found = np.array([[[0, 0, 0, 0, 0]], [[0, 1, 0, 0, 1]], [[1, 1, 0, 0, 1]]])
        >>> corrected(mask, without, found, np.zeros((1, 5), bool)).tolist()
        [[1, 1, 0, 0, 0]]
    """
    changed = found != without
    if not changed.any():
        return mask
    near = ndimage.distance_transform_edt(~changed) <= NEAR
    pieces, _ = ndimage.label(changed | ((found != mask) & near & ~held), np.ones((3, 3)))
    return np.where(np.isin(pieces, np.unique(pieces[changed])), found, mask)


def _narrower(crf: CRFParams) -> CRFParams:
    """Return the parameters of the dense CRF that follows clicks."""
    return replace(
        crf,
        bilateral_sxy=max(CRF_SHARE * crf.bilateral_sxy, NARROWEST),
        gaussian_sxy=min(crf.gaussian_sxy, 1.0),
        iterations=min(crf.iterations, ITERATIONS),
    )
