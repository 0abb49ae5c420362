"""Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis, Eurographics 2010).

Points of a d-dimensional feature space are spread (splat) onto the vertices of the simplex around
them, the vertices are blurred along d + 1 axes, and the points read the result back (slice). All
three are products with sparse matrices that depend on the features alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

POINTS_AT_A_TIME = 16384  # whose intermediate results stay in a core's cache
NORMALISATION_FLOOR = 1e-20  # of pydensecrf: keeps an empty neighbourhood from dividing by zero


class PermutohedralLattice:
    """The symmetrically normalised Gaussian filter of one set of points.

    With F the lattice's filter and n = 1 / sqrt(F(1) + 1e-20), a call returns n F(n x). The
    normalisation is folded into the sparse matrices.

    Args:
        features: float32 [d, N], in units of the Gaussian's standard deviation.

    Raises:
        ValueError: the features span too many lattice cells to number them.

    Example:
        >>> lattice = PermutohedralLattice(torch.rand(2, 50))
        >>> tuple(lattice(torch.rand(50, 3)).shape)
        (50, 3)
    """

    def __init__(self, features: Tensor) -> None:
        dimension, points = features.shape
        keys, strides, vertex, weight = _enclosing_vertices(features)
        # int32 indices: half the bytes, and twice the speed, of int64 ones.
        crossing = torch.arange(0, vertex.numel() + 1, dimension + 1, dtype=torch.int32, device=vertex.device)
        order = vertex.flatten().argsort(stable=True)
        crowd = torch.bincount(vertex.flatten(), minlength=len(keys)).cumsum(0)
        splat_rows = torch.cat([crowd.new_zeros(1), crowd]).int()
        splat_points = torch.div(order.int(), dimension + 1, rounding_mode="floor")
        splat_weight = weight.flatten().index_select(0, order)

        def set_matrices(scale: Tensor) -> None:
            values = splat_weight * scale.index_select(0, splat_points)
            self._splat = _csr(splat_rows, splat_points, values, (len(keys), points))
            values = (weight * scale[:, None]).flatten()
            self._slice = _csr(crossing, vertex.flatten(), values, (points, len(keys)))

        self._blurs = _blur_matrices(keys, strides)
        ones = features.new_ones(points, 1)
        set_matrices(ones[:, 0])
        attenuation = 1 / (1 + 2.0**-dimension)
        norm = 1 / torch.sqrt(self(ones) * attenuation + NORMALISATION_FLOOR)
        set_matrices(norm[:, 0] * math.sqrt(attenuation))

    def __call__(self, values: Tensor) -> Tensor:
        """Filter float32 [N, C] to float32 [N, C]."""
        return self._slice @ self._blurred(values)

    def filter_onto(self, total: Tensor, values: Tensor, factor: float) -> Tensor:
        """Return ``total`` + ``factor`` x filter(``values``), all float32 [N, C]."""
        return torch.addmm(total, self._slice, self._blurred(values), alpha=factor)

    def _blurred(self, values: Tensor) -> Tensor:
        vertices = self._splat @ values
        for blur in self._blurs:
            vertices = blur @ vertices
        return vertices


def _enclosing_vertices(features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the lattice vertices around each point (Adams et al., pages 5, 9 and 10).

    Returns:
        Packed keys int64 [M] of the M vertices in use, ascending, and the strides int64 [d] they
        are packed with; for each point the numbers int32 [N, d + 1] of its vertices and their
        barycentric weights float32 [N, d + 1].
    """
    elevated = _elevate(features)
    size, points = elevated.shape
    strides, lowest = _key_strides(elevated)
    simplex = torch.empty(points, dtype=torch.int64, device=features.device)
    weight = features.new_empty(points, size)
    step = POINTS_AT_A_TIME if features.device.type == "cpu" else points
    for start in range(0, points, step):
        part = slice(start, start + step)
        origin, rank, weight[part] = _enclosing_simplex(elevated[:, part])
        simplex[part] = strides @ (origin - lowest + rank)[:-1]
    keys, vertex = _number_vertices(simplex, strides)
    return keys, strides, vertex, weight


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex around each of [d + 1, N] points: its origin and ranks, int64, and the weights [N, d + 1]."""
    size = len(elevated)
    scaled = elevated / size
    nearest = scaled.round()  # half to even, as the reference rounds
    rank = _descending_rank(elevated - nearest * size)
    rank += nearest.sum(0).int()  # off the plane by this many steps: wrap around
    wrapped = (rank < 0).int() - (rank >= size).int()
    rank += size * wrapped
    nearest += wrapped
    offset = scaled.sub_(nearest)
    places = rank.long()
    by_rank = torch.empty_like(offset).scatter_(0, size - 1 - places, offset)
    weight = by_rank - by_rank.roll(1, dims=0)
    weight[0] += 1
    return nearest.long() * size, places, weight.T


def _elevate(features: Tensor) -> Tensor:
    """Map [d, N] points to the plane of d + 1 coordinates that sum to 0 (Adams et al., page 5)."""
    dimension = len(features)
    columns = []
    total = torch.zeros_like(features[0])
    for i in range(dimension - 1, -1, -1):
        scaled = features[i] * (math.sqrt(2 / 3) * (dimension + 1) / math.sqrt((i + 1) * (i + 2)))
        columns.append(total - (i + 1) * scaled)
        total = total + scaled
    return torch.stack([total, *columns[::-1]])


def _descending_rank(values: Tensor) -> Tensor:
    """Rank the rows of [R, N] column by column, int32, 0 the largest; of equals the first comes first.

    Comparing all pairs of a few rows is ten times as fast as sorting that many short columns.
    """
    rank = torch.zeros(values.shape, dtype=torch.int32, device=values.device)
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            smaller = values[i] < values[j]
            rank[i] += smaller
            rank[j] += ~smaller
    return rank


def _key_strides(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """Return int64 [d] that pack the keys around points [d + 1, N] into single integers, and what is subtracted first.

    The room on both sides keeps the keys of vertices and of their neighbours apart too.
    """
    size = len(elevated)
    lowest = (elevated.amin(1) / size).floor().long() * size - 3 * size
    room = (elevated.amax(1).ceil().long() + 3 * size - lowest)[:-1].tolist()
    if math.prod(room) >= 2**63:
        raise ValueError("the features span too many lattice cells; use larger standard deviations")
    strides = [math.prod(room[i + 1 :]) for i in range(len(room))]
    return torch.tensor(strides, device=elevated.device), lowest[:, None]


def _number_vertices(simplex: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Number the vertices of all simplices.

    Vertex r of the simplex (origin, rank) has the key origin + r, less d + 1 on the coordinates whose
    rank is above d - r. Points of one simplex share its vertices, so simplices are told apart
    first: there are far fewer of them than points.

    Args:
        simplex: int64 [N], origin + rank packed with strides int64 [d]; origins are multiples of d + 1.

    Returns:
        Packed keys int64 [M], ascending, and vertex numbers int32 [N, d + 1].
    """
    size = len(strides) + 1
    simplex, member = torch.unique(simplex, return_inverse=True)
    lowered = simplex.new_zeros(size, len(simplex))  # by rank, the stride of the coordinate that has it
    rest, base = simplex, simplex
    for stride in strides.tolist():
        rank = torch.div(rest, stride, rounding_mode="floor")
        rest = rest - rank * stride
        rank %= size
        base = base - rank * stride
        lowered.scatter_(0, rank[None], stride)
    lowered = torch.cat([base.new_zeros(1, len(base)), lowered.flip(0)[:-1].cumsum(0)])
    steps = torch.arange(size, device=base.device)[:, None] * strides.sum()
    keys, number = torch.unique(base + steps - size * lowered, return_inverse=True)
    return keys, number.T.int().contiguous().index_select(0, member)


def _blur_matrices(keys: Tensor, strides: Tensor) -> list[Tensor]:
    """Return for each of the d + 1 axes the CSR matrix of new = old + (left + right) / 2.

    A neighbour differs by -1 on every coordinate but +d on its axis; one that no point has
    splatted to does not exist and counts 0.
    """
    count, size = len(keys), len(strides) + 1
    along_axis = torch.cat([size * strides, strides.new_zeros(1)]) - strides.sum()
    wanted = keys + along_axis[:, None]
    right = torch.searchsorted(keys, wanted).clamp_(max=count - 1)
    has_right = keys.index_select(0, right.flatten()).view_as(right) == wanted
    own = torch.arange(count, device=keys.device).expand_as(right)
    axis = torch.arange(size, device=keys.device)[:, None] * count
    left = torch.full_like(right, -1)  # whose right is this one
    left.view(-1).index_copy_(0, (right + axis).masked_select(has_right), own.masked_select(has_right))
    exists = torch.stack([left >= 0, torch.ones_like(has_right), has_right], dim=2)
    columns = torch.stack([left, own, right], dim=2).masked_select(exists).int()
    values = torch.tensor([0.5, 1, 0.5], device=keys.device).expand_as(exists).masked_select(exists)
    links = exists.sum(2)
    rows = torch.cat([links.new_zeros(size, 1), links.cumsum(1)], dim=1)
    ends = rows[:, -1].tolist()
    parts = zip(rows.int(), columns.split(ends), values.split(ends), strict=True)
    return [_csr(*part, (count, count)) for part in parts]


def _csr(rows: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(rows, columns, values, size, check_invariants=False)
