"""Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis, Eurographics 2010).

Points of a d-dimensional feature space are spread (splat) onto the vertices of the simplex around
them, the vertices are blurred along d + 1 axes, and the points read the result back (slice). All
three are products with sparse matrices that depend on the features alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NORMALISATION_FLOOR = 1e-20  # of pydensecrf: keeps an empty neighbourhood from dividing by zero


class PermutohedralLattice:
    """The symmetrically normalised Gaussian filter of one set of points.

    With F the lattice's filter and n = 1 / sqrt(F(1) + 1e-20), a call returns n F(n x). The
    normalisation is folded into the sparse matrices.

    Args:
        features: float32 [d, N], in units of the Gaussian's standard deviation.

    Attributes:
        row_sums: float32 [N, 1], the filter's answer to ones.

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
        by_vertex, order = vertex.flatten().sort(stable=True)
        splat_rows = torch.searchsorted(by_vertex, torch.arange(len(keys) + 1, device=vertex.device)).int()
        splat_columns = (order // (dimension + 1)).int()

        def matrices(scale: Tensor) -> tuple[Tensor, Tensor]:
            scaled = (weight * scale).flatten()
            return (
                _csr(splat_rows, splat_columns, scaled[order], (len(keys), points)),
                _csr(crossing, vertex.flatten(), scaled, (points, len(keys))),
            )

        self._blurs = _blur_matrices(keys, strides)
        ones = features.new_ones(points, 1)
        self._splat, self._slice = matrices(ones)
        attenuation = 1 / (1 + 2.0**-dimension)
        norm = 1 / torch.sqrt(self(ones) * attenuation + NORMALISATION_FLOOR)
        self._splat, self._slice = matrices(norm * math.sqrt(attenuation))
        self.row_sums = self(ones)

    def __call__(self, values: Tensor) -> Tensor:
        """Filter float32 [N, C] to float32 [N, C]."""
        blurred = self._splat @ values
        for blur in self._blurs:
            blurred = blur @ blurred
        return self._slice @ blurred


def _enclosing_vertices(features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the lattice vertices around each point (Adams et al., pages 5, 9 and 10).

    Returns:
        Packed keys int64 [M] of the M vertices in use, ascending, and the strides int64 [d] they
        are packed with; for each point the numbers int32 [N, d + 1] of its vertices and their
        barycentric weights float32 [N, d + 1].
    """
    elevated = _elevate(features)
    size = len(elevated)
    nearest = torch.round(elevated / size)  # half to even, as the reference rounds
    rank = _descending_rank(elevated - nearest * size)
    rank += nearest.sum(0).int()  # off the plane by this many steps: wrap around
    wrapped = (rank < 0).int() - (rank >= size).int()
    rank += size * wrapped
    nearest += wrapped
    offset = elevated / size - nearest
    by_rank = torch.zeros_like(offset).scatter_(0, size - 1 - rank.long(), offset)
    weight = by_rank - by_rank.roll(1, dims=0)
    weight[0] += 1
    return *_number_vertices(nearest[:-1].long() * size, rank[:-1].long()), weight.T.contiguous()


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


def _number_vertices(origin: Tensor, rank: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number the vertices of all simplices.

    Vertex r of the simplex (origin, rank) has the key origin + r, less d + 1 on the coordinates whose
    rank is above d - r. Points of one simplex share its vertices, so simplices are told apart
    first: there are far fewer of them than points.

    Args:
        origin, rank: int64 [d, N]; the last of the d + 1 coordinates follows from the others.

    Returns:
        Packed keys int64 [M], ascending, their strides int64 [d], vertex numbers int32 [N, d + 1].
    """
    size = len(origin) + 1
    origin = origin - origin.amin(1, keepdim=True)
    strides = _key_strides(origin)
    simplex, member = torch.unique(((origin + rank) * strides[:, None]).sum(0), return_inverse=True)
    example = torch.empty_like(simplex).scatter_(0, member, torch.arange(len(member), device=member.device))
    base = ((origin[:, example] + 2 * size) * strides[:, None]).sum(0)
    stride_of_rank = base.new_zeros(size, len(base))
    stride_of_rank.scatter_(0, rank[:, example], strides[:, None].expand(-1, len(base)))
    lowered = torch.cat([base.new_zeros(1, len(base)), stride_of_rank.flip(0)[:-1].cumsum(0)])
    steps = torch.arange(size, device=base.device)[:, None] * strides.sum()
    keys, number = torch.unique(base + steps - size * lowered, return_inverse=True)
    return keys, strides, number.T.int()[member]


def _key_strides(origin: Tensor) -> Tensor:
    """Return int64 [d] that pack keys near ``origin`` int64 [d, N], from 0, into single integers.

    The room on both sides keeps the keys of neighbours apart too.
    """
    room = (origin.amax(1) + 5 * (len(origin) + 1)).tolist()
    if math.prod(room) >= 2**63:
        raise ValueError("the features span too many lattice cells; use larger standard deviations")
    return torch.tensor([math.prod(room[i + 1 :]) for i in range(len(room))], device=origin.device)


def _blur_matrices(keys: Tensor, strides: Tensor) -> list[Tensor]:
    """Return for each of the d + 1 axes the CSR matrix of new = old + (left + right) / 2.

    A neighbour differs by -1 on every coordinate but +d on its axis; one that no point has
    splatted to does not exist and counts 0.
    """
    count, size = len(keys), len(strides) + 1
    along_axis = [-strides.sum() + size * stride for stride in strides] + [-strides.sum()]
    own = torch.arange(count, device=keys.device)
    half = torch.full((count,), 0.5, device=keys.device)
    matrices = []
    for step in along_axis:
        left, right = (torch.searchsorted(keys, keys + side).clamp_(max=count - 1) for side in (-step, step))
        columns = torch.stack([left, own, right], dim=1)
        values = torch.stack([half, torch.ones_like(half), half], dim=1)
        exists = keys[columns] == torch.stack([keys - step, keys, keys + step], dim=1)
        rows = torch.cat([own.new_zeros(1), exists.sum(1).cumsum(0)]).int()
        matrices.append(_csr(rows, columns[exists].int(), values[exists], (count, count)))
    return matrices


def _csr(rows: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(rows, columns, values, size, check_invariants=False)
