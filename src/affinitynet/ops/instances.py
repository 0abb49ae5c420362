"""Objects of one class apart: by the place their pixels point to (IRNet: Ahn, Cho & Kwak, CVPR 2019, section 5.1).

The constants and rules are those of the released code (docs/method.md, "Instances").
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from affinitynet.records import Instances

MOVES = 300
"""Times that a pixel follows the displacements; most stand still long before."""

WEAK = 2.5
"""Pixels of the displacement below which a place belongs to the middle of an object."""

LEAST_SHARE = 0.01
"""Share of the image below which a piece has the score 0."""


def centroids(displacement: Tensor, moves: int = MOVES) -> Tensor:
    """Return where every pixel arrives that follows the displacements (mean shift).

    A pixel moves by the displacement at its place, interpolated bilinearly, and stays inside the map. Places are
    float32 and the interpolation float64, as in the released code: in a rough field rounding decides where pixels end.

    Args:
        displacement: floating [2, H, W], (dy, dx) in pixels of this map.
        moves: at most so many; it ends where no pixel moves any more.

    Returns:
        int64 [2, H, W], (y, x) rounded half to even.

    Raises:
        ValueError: ``displacement`` is not finite numbers [2, H, W].

    Example:
        >>> to_the_middle = torch.tensor([[[0.0, 0, 0, 0, 0]], [[2.0, 1, 0, -1, -2]]])
        >>> centroids(to_the_middle)[1]
        tensor([[2, 2, 2, 2, 2]])
    """
    if displacement.ndim != 3 or len(displacement) != 2 or not bool(displacement.isfinite().all()):
        raise ValueError(f"displacement must be finite numbers [2, H, W], got {list(displacement.shape)}")
    height, width = displacement.shape[1:]
    field = displacement.float().double().flatten(1)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([rows, columns]).flatten(1).float().to(displacement.device)
    limit = place.new_tensor([[height - 1], [width - 1]])
    for _ in range(moves):
        low, high = place.floor(), place.ceil()
        share = place.double() - low
        moved = torch.zeros_like(share)
        for y, part_y in ((low[0], 1 - share[0]), (high[0], share[0])):
            for x, part_x in ((low[1], 1 - share[1]), (high[1], share[1])):
                moved += field[:, (y * width + x).long()] * (part_y * part_x)
        following = (place.double() + moved).float().clamp(min=0).minimum(limit)
        if torch.equal(following, place):
            break
        place = following
    return place.round().long().view(2, height, width)


def clusters(displacement: Tensor, ends: Tensor, weak: float = WEAK) -> Tensor:
    """Return which pixels belong together: those that arrive in one connected piece of weak displacements.

    Pixels that arrive where displacements are strong are one further cluster, as in the released code.

    Args:
        displacement: floating [2, H, W].
        ends: int64 [2, H, W], from :func:`centroids`.
        weak: below this length a displacement is weak, pixels.

    Returns:
        int64 [H, W], 0 to I - 1: the further cluster first if there is one, then the pieces in the order of their
        first pixel; only those in which some pixel arrives.

    Example:
        >>> field = torch.tensor([[[0.0, 0, 0, 0]], [[0.0, 3, -3, 0]]])
        >>> clusters(field, torch.tensor([[[0, 0, 0, 0]], [[0, 0, 3, 3]]]))
        tensor([[0, 0, 1, 1]])
    """
    field = displacement.float().cpu().numpy()
    pieces = components(np.hypot(field[0], field[1]) < weak)
    reached = torch.from_numpy(pieces.astype(np.int64))[ends[0].cpu(), ends[1].cpu()]
    _, numbers = reached.unique(return_inverse=True)
    return numbers.to(displacement.device)


def components(region: np.ndarray) -> np.ndarray:
    """Number the 4-connected pieces of a region, in the order of their first pixel.

    Args:
        region: bool [H, W].

    Returns:
        int32 [H, W], 0 outside, the pieces from 1.

    Example:
        >>> components(np.array([[True, False, True], [True, True, False]])).tolist()
        [[1, 0, 2], [1, 1, 0]]
    """
    numbers, _ = ndimage.label(region)
    return _renumbered(numbers)


def instance_seeds(cams: Tensor, numbers: Tensor) -> Tensor:
    """Return each class's activation map inside each cluster, 0 elsewhere.

    Args:
        cams: floating [K, H, W].
        numbers: int64 [H, W], from :func:`clusters`.

    Returns:
        [K, I, H, W], as the cams.

    Example:
        >>> instance_seeds(torch.tensor([[[0.5, 0.7]]]), torch.tensor([[1, 0]]))[0]
        tensor([[[0.0000, 0.7000]],
        <BLANKLINE>
                [[0.5000, 0.0000]]])
    """
    chosen = numbers == torch.arange(int(numbers.max()) + 1, device=numbers.device)[:, None, None]
    return cams[:, None] * chosen


def detections(scores: Tensor, classes: list[int], background: float) -> Instances:
    """Decide which objects there are, and which pixels are theirs (released code; docs/method.md, "Instances").

    A pixel belongs to the map that is highest there, if that is above the background's constant score. Every
    connected piece is an object of its own, since a cluster may reach over several.

    Args:
        scores: floating [K, I, H, W] in [0, 1], of cluster i as class k, divided by the greatest of all.
        classes: the K 0-based class numbers.
        background: score of the background, in (0, 1).

    Returns:
        The objects in the order of class, cluster and first pixel. The score is the greatest in the piece, 0 where it
        has less than 1 % of the image.

    Example:
        >>> found = detections(torch.tensor([[[[1.0, 0.9, 0, 0.6]]]]), [3], background=0.3)
        >>> found.labels.tolist(), found.classes, found.scores
        ([[1, 1, 0, 2]], (3, 3), (1.0, 0.6...))
    """
    count, each, height, width = scores.shape
    maps = scores.reshape(count * each, height, width).float().cpu().numpy()
    labels = np.zeros((height, width), np.int32)
    found_classes: list[int] = []
    found_scores: list[float] = []
    winner = np.where(maps.max(0, initial=0) > background, maps.argmax(0) if len(maps) else 0, -1)
    for index, score in enumerate(maps):
        pieces = components(winner == index)
        sizes = np.bincount(pieces.ravel())[1:]
        highest = ndimage.maximum(score, pieces, range(1, len(sizes) + 1))
        labels = np.where(pieces > 0, pieces + len(found_classes), labels)
        found_classes += [classes[index // each]] * len(sizes)
        found_scores += np.where(sizes >= LEAST_SHARE * pieces.size, highest, 0.0).tolist()
    return Instances(labels, tuple(found_classes), tuple(found_scores))


MERGED = 0.1
"""Share of a neighbour's pixels below which a piece is taken for a splinter of it; ours, not measured yet."""

SPECK = 0.01
"""Share of the largest piece's pixels below which a piece that stands alone is no object of its own."""


def split_region(region: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Split the region of a class into objects: 4-connected pieces of one cluster.

    Where two clusters meet, splinters remain. A piece with less than a tenth of the pixels of a piece that it touches
    is taken for a part of it, the smallest first. The edge of a mask is frayed, too: a piece with less than a hundredth
    of the pixels of the largest one belongs to the object that is nearest to it.

    Args:
        region: bool [H, W], the pixels of the class.
        numbers: int [H, W], the cluster of each pixel.

    Returns:
        int32 [H, W], 0 outside, the objects from 1 in the order of their first pixel.

    Example:
        >>> split_region(np.ones((1, 5), bool), np.array([[0, 0, 1, 1, 1]])).tolist()
        [[1, 1, 2, 2, 2]]
        >>> split_region(np.ones((1, 13), bool), np.array([[0] * 12 + [1]])).max()
        np.int32(1)
        >>> split_region(np.array([[True] * 200 + [False, True]]), np.zeros((1, 202), int))[0, 199:]
        array([1, 0, 1], dtype=int32)
    """
    pieces = np.zeros(region.shape, np.int32)
    for number in np.unique(numbers[region]):
        found = components(region & (numbers == number))
        pieces = np.where(found > 0, found + pieces.max(), pieces)
    return _renumbered(_without_specks(_without_splinters(pieces)))


def _without_splinters(pieces: np.ndarray) -> np.ndarray:
    """Give pieces int [H, W] that are small beside one that they touch the number of that one."""
    sizes = np.bincount(pieces.ravel()).tolist()
    touching = _neighbours(pieces)
    owner = np.arange(len(sizes))
    for small in sorted(range(1, len(sizes)), key=lambda number: sizes[number]):
        largest = max(sorted(touching[small]), key=lambda number: sizes[number], default=0)
        if not largest or sizes[small] >= MERGED * sizes[largest]:
            continue
        owner[owner == small] = largest
        sizes[largest] += sizes[small]
        for other in touching[small]:
            touching[other].discard(small)
            touching[other] |= {largest} - {other}
        touching[largest] |= touching[small] - {largest}
    return owner[pieces]


def _without_specks(pieces: np.ndarray) -> np.ndarray:
    """Give pieces int [H, W] that are tiny beside the largest one the number of the piece nearest to them."""
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    tiny = (sizes < SPECK * sizes.max())[pieces] & (pieces > 0)
    if not tiny.any():
        return pieces
    rows, columns = ndimage.distance_transform_edt((pieces == 0) | tiny, return_distances=False, return_indices=True)
    whole = pieces.copy()
    for number in np.unique(pieces[tiny]):
        place = pieces == number
        nearest = pieces[rows[place], columns[place]]
        whole[place] = np.bincount(nearest).argmax()
    return whole


def _neighbours(pieces: np.ndarray) -> dict[int, set[int]]:
    """Return number -> numbers of the pieces that share an edge of a pixel with it."""
    found: dict[int, set[int]] = {number: set() for number in range(int(pieces.max()) + 1)}
    for one, other in ((pieces[1:], pieces[:-1]), (pieces[:, 1:], pieces[:, :-1])):
        meeting = (one != other) & (one > 0) & (other > 0)
        for pair in np.unique(np.stack([one[meeting], other[meeting]]), axis=1).T.tolist():
            found[pair[0]].add(pair[1])
            found[pair[1]].add(pair[0])
    return found


def _renumbered(pieces: np.ndarray) -> np.ndarray:
    """Number pieces in the order of their first pixel, from 1; 0 stays."""
    values, first, places = np.unique(pieces, return_index=True, return_inverse=True)
    order = np.zeros(len(values), np.int32)
    order[values > 0] = np.argsort(np.argsort(first[values > 0])) + 1
    numbered: np.ndarray = order[places.reshape(pieces.shape)]
    return numbered
