"""IRNet's boundary affinities and losses in training, against gathering all pixels of all paths.

Sizes of the paper, for 4 of its 32 images a step: maps of 128x128, radius 10, 152 offsets, 2,134 pixels of paths.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from affinitynet.ops.affinity import affinity_loss, pair_labels, pair_offsets, source_grid
from affinitynet.ops.boundaries import boundary_affinity, displacement_loss, path_offsets
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, compare_with_gather

Size = tuple[int, ...]
Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
PAPER: Size = (4, 128, 128)
TOY: Size = (1, 24, 28)
RADIUS = 10


def problem(size: Size, device: str = "cpu") -> tuple[torch.Tensor, Pairs]:
    """Return maps [B, 3, H, W] that ask for a gradient, a boundary logit and a displacement, and the pairs' labels."""
    generator = torch.Generator().manual_seed(0)
    batch, height, width = size
    maps = torch.randn(batch, 3, height, width, generator=generator).to(device).requires_grad_()
    coarse = torch.tensor([0, 1, 2, 255])[torch.randint(0, 4, (batch, 1, height // 8, width // 8), generator=generator)]
    labels = F.interpolate(coarse.float(), (height, width))[:, 0].long()
    return maps, pair_labels(labels.to(device), RADIUS)


def step(loss: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    maps.grad = None
    loss.backward()
    assert maps.grad is not None
    return maps.grad


def ours(maps: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    affinity = boundary_affinity(maps[:, 0].sigmoid(), RADIUS)
    return affinity_loss(affinity, *pairs) + displacement_loss(maps[:, 1:], pairs[0], pairs[1], RADIUS)


def gathered(maps: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """The same as the released code computes it: every path and both ends of every pair are gathered."""
    batch, _, height, width = maps.shape
    rows, columns = source_grid(height, width, RADIUS, "original")
    grid = torch.arange(height * width, device=maps.device).view(height, width)
    left = RADIUS - 1

    def places(dy: int, dx: int) -> torch.Tensor:
        return grid[dy : dy + rows, left + dx : left + dx + columns].flatten()

    edges = maps[:, 0].sigmoid().flatten(1)
    highest = []
    for path in path_offsets(RADIUS):
        values = edges[:, torch.cat([places(*point) for point in path])].view(batch, len(path), -1)
        highest.append(F.max_pool2d(values[:, None], (len(path), 1))[:, 0, 0])
    affinity = (1 - torch.stack(highest, 1)).view(pairs[0].shape)
    offsets = torch.tensor(pair_offsets(RADIUS), device=maps.device)
    ends = torch.cat([places(dy, dx) for dy, dx in pair_offsets(RADIUS)])
    displacement = maps[:, 1:].flatten(2)
    target = displacement[:, :, ends].view(batch, 2, len(offsets), -1)
    difference = displacement[:, :, places(0, 0)][:, :, None] - target
    apart = (difference - offsets.T[None, :, :, None]).abs()
    background, foreground = (kind.flatten(2)[:, None] for kind in pairs[:2])

    def mean(loss: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        return (loss * kind).sum() / (2 * kind.sum() + 1e-5)

    displaced = (mean(apart, foreground) + mean(difference.abs(), background)) / 2
    return affinity_loss(affinity, *pairs) + displaced


def ours_on(size: Size, device: str = "cpu") -> Call:
    maps, pairs = problem(size, device)
    return lambda: step(ours(maps, pairs), maps)


def gathered_on(size: Size, device: str = "cpu") -> Call:
    maps, pairs = problem(size, device)
    return lambda: step(gathered(maps, pairs), maps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    compare_with_gather("IRNet's losses", ours_on, gathered_on, TOY if given.toy else PAPER, given.repeats)


if __name__ == "__main__":
    main()
