"""Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis, Eurographics 2010).

Points of a d-dimensional feature space are spread (splat) onto the vertices of the simplex around
them, the vertices are blurred along d + 1 axes, and the points read the result back (slice). All
three are products with sparse matrices that depend only on the features (docs/method.md, "Dense CRF").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

POINTS_AT_A_TIME = 32768  # so that intermediate results stay in a core's cache
NORMALISATION_FLOOR = 1e-20  # as in pydensecrf, against division by zero in an empty neighbourhood


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
        keys, strides, vertex, weight = _enclosing_vertices(features)
        points, corners = vertex.shape
        # int32 indices: half the bytes, and twice the speed, of int64 ones.
        crossing = torch.arange(0, vertex.numel() + 1, corners, dtype=torch.int32, device=vertex.device)
        self._slice = _csr(crossing, vertex.flatten(), weight.flatten(), (points, len(keys)))
        rows, order = _crowds(vertex, len(keys))
        splat_points = torch.div(order.int(), corners, rounding_mode="floor")
        self._splat = _csr(rows, splat_points, weight.flatten().index_select(0, order), (len(keys), points))
        self._blurs = _blur_matrices(keys, strides)
        attenuation = 1 / (1 + 2.0 ** (1 - corners))
        norm = 1 / torch.sqrt(self(features.new_ones(points, 1)) * attenuation + NORMALISATION_FLOOR)
        norm *= math.sqrt(attenuation)
        self._slice.values().view(points, corners).mul_(norm)
        self._splat.values().mul_(norm[:, 0].index_select(0, splat_points))

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

    All d + 1 coordinates of a vertex have one remainder r by d + 1, so each is (d + 1) m + r, and the key of the
    vertex is (d + 1) x (sum of stride x m over all coordinates but the last, which follows from them) + r.

    Returns:
        Keys [M] of the M vertices in use, ascending, and the strides [d]; for each point the numbers int32
        [N, d + 1] of its vertices and their barycentric weights float32 [N, d + 1].
    """
    elevated = _elevate(features)
    size, points = elevated.shape
    strides, lowest = _strides(elevated)
    cell = torch.empty(points, dtype=strides.dtype, device=features.device)
    rank = torch.empty(size, points, dtype=torch.int8, device=features.device)
    weight = features.new_empty(points, size)
    step = POINTS_AT_A_TIME if features.device.type == "cpu" else points
    for start in range(0, points, step):
        part = slice(start, start + step)
        nearest, rank[:, part], weight[part] = _enclosing_simplex(elevated[:, part])
        multiples = (nearest[:-1] - lowest).to(strides.dtype)
        cell[part] = (multiples * strides[:, None]).sum(0, dtype=strides.dtype)
    keys, vertex = _number_vertices(cell, rank, strides)
    return keys, strides, vertex, weight


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex around each of [d + 1, N] points.

    Returns:
        Its origin float32 [d + 1, N] in multiples of d + 1, the ranks int8 [d + 1, N] of the point's
        coordinates within it, and the weights float32 [N, d + 1] of its vertices.
    """
    size = len(elevated)
    scaled = elevated / size
    nearest = scaled.round()  # half to even, as the reference rounds
    rank = _descending_rank(elevated - nearest * size)
    rank += nearest.sum(0).to(rank.dtype)  # off the plane by this many steps: wrap around
    wrapped = (rank < 0).to(rank.dtype) - (rank >= size).to(rank.dtype)
    rank += size * wrapped
    nearest += wrapped
    ascending = _ascending(scaled.sub_(nearest))
    weight = ascending - ascending.roll(1, dims=0)
    weight[0] += 1
    return nearest, rank, weight.T


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
    """Rank the rows of [R, N] column by column, int8, 0 the largest; of equal values the first comes first.

    Comparing all pairs of a few rows is several times faster than sorting many short columns.
    """
    rank = torch.arange(len(values), dtype=torch.int8, device=values.device)[:, None].repeat(1, values.shape[1])
    rows, ranks = values.unbind(), rank.unbind()
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            smaller = (rows[i] < rows[j]).view(torch.int8)
            ranks[i].add_(smaller)
            ranks[j].sub_(smaller)
    return rank


def _ascending(values: Tensor) -> Tensor:
    """Sort the columns of [R, N], the smallest first, by swapping rows pair by pair."""
    rows = list(values.unbind())
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            rows[i], rows[j] = torch.minimum(rows[i], rows[j]), torch.maximum(rows[i], rows[j])
    return torch.stack(rows)


def _strides(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strides [d] of vertex keys around points [d + 1, N], and the multiples [d, 1] they count from.

    The margin on both sides keeps the keys of neighbours distinct as well. Keys are int32 if they fit, because
    those are sorted in half the time.
    """
    size = len(elevated)
    lowest = (elevated.amin(1) / size).floor() - 3
    room = ((elevated.amax(1) / size).ceil() + 3 - lowest)[:-1].long().tolist()
    if math.prod(room) * size**size >= 2**63:
        raise ValueError("the features span too many lattice cells; use larger standard deviations")
    dtype = torch.int32 if math.prod(room) * size < 2**31 else torch.int64
    strides = [math.prod(room[i + 1 :]) for i in range(len(room))]
    return torch.tensor(strides, dtype=dtype, device=elevated.device), lowest[:-1, None]


def _number_vertices(cell: Tensor, rank: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Number the vertices of all simplices.

    Vertex r of a simplex has the multiples of its origin, less 1 on the coordinates whose rank is above d - r.
    Points of one simplex share its vertices, so simplices are numbered first: there are fewer of them.

    Args:
        cell: [N], sum of stride x multiple of each simplex's origin.
        rank: int8 [d + 1, N].
        strides: [d].

    Returns:
        Keys [M], ascending, and vertex numbers int32 [N, d + 1].
    """
    size = len(rank)
    simplex = cell.long()
    for ranks in rank[:-1]:
        simplex = simplex * size + ranks
    simplex, member = torch.unique(simplex, return_inverse=True)
    example = member.new_empty(len(simplex)).scatter_(0, member, torch.arange(len(member), device=member.device))
    cell = cell.index_select(0, example)
    strides = torch.cat([strides, strides.new_zeros(1)])[:, None].expand(size, len(cell))
    lowered = torch.empty_like(strides).scatter_(0, rank.index_select(1, example).long(), strides)
    corners = []
    for remainder in range(size):
        corners.append(cell * size + remainder)
        cell = cell - lowered[-1 - remainder]
    keys, number = torch.unique(torch.stack(corners, dim=1), return_inverse=True)
    return keys, number.int().index_select(0, member)


def _crowds(vertex: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Group the entries of vertex int32 [N, d + 1] by vertex.

    Returns:
        Where each of the ``count`` groups starts, int32 [count + 1], and the entries in their order, int64.
    """
    flat = vertex.flatten()
    # Sorting takes a pass per byte.
    order = (flat.short() if count < 2**15 else flat).argsort(stable=True)
    ends = torch.bincount(flat, minlength=count).cumsum(0)
    return torch.cat([ends.new_zeros(1), ends]).int(), order


def _blur_matrices(keys: Tensor, strides: Tensor) -> list[Tensor]:
    """Return for each of the d + 1 axes the CSR matrix of new = old + (left + right) / 2.

    A neighbour differs by -1 on every coordinate but +d on its axis; one that no point has
    splatted to does not exist and contributes 0.
    """
    count, size = len(keys), len(strides) + 1
    one_less = torch.where(keys % size > 0, keys - 1, keys + (size - 1) - size * strides.sum(dtype=keys.dtype))
    wanted = one_less + size * torch.cat([strides, strides.new_zeros(1)])[:, None]
    right = torch.searchsorted(keys, wanted).clamp_(max=count - 1)
    has_right = keys.index_select(0, right.flatten()).view_as(right) == wanted
    own = torch.arange(count, device=keys.device).expand_as(right)
    axis = torch.arange(size, device=keys.device)[:, None] * count
    left = torch.full_like(right, -1)  # whose right is this one
    left.view(-1).index_copy_(0, (right + axis).masked_select(has_right), own.masked_select(has_right))
    has_left = left >= 0
    exists = torch.stack([has_left, torch.ones_like(has_right), has_right], dim=2)
    columns = torch.stack([left, own, right], dim=2).masked_select(exists).int()
    ends = (1 + has_left.int() + has_right).cumsum(1)
    rows = torch.cat([ends.new_zeros(size, 1), ends], dim=1)
    blurs = []
    for start, links, lefts in zip(rows, columns.split(rows[:, -1].tolist()), has_left, strict=True):
        values = torch.full(links.shape, 0.5, device=keys.device).index_fill_(0, start[:-1] + lefts, 1)
        blurs.append(_csr(start.int(), links, values, (count, count)))
    return blurs


def _csr(rows: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(rows, columns, values, size, check_invariants=False)
