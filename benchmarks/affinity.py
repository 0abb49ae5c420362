"""Pair affinities and their loss in training, against gathering the features of all pairs.

Sizes of the paper: batch 8, 448 channels, 56x56, 34 offsets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from affinitynet.ops.affinity import affinity_loss, pair_affinity, pair_labels, pair_offsets
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, compare_with_gather

Size = tuple[int, ...]
Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
PAPER: Size = (8, 448, 56, 56)
TOY: Size = (2, 8, 12, 16)


def problem(size: Size, device: str = "cpu") -> tuple[torch.Tensor, Pairs]:
    """Return features that ask for a gradient and the pairs' labels."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(size, generator=generator).to(device).requires_grad_()
    labels = torch.tensor([0, 1, 2, 255])[torch.randint(0, 4, (size[0], *size[2:]), generator=generator)]
    return features, pair_labels(labels.to(device))


def gathered(features: torch.Tensor) -> torch.Tensor:
    """Affinities as the released code makes them: index the features of both ends of every pair."""
    batch, channels, height, width = features.shape
    flat = features.flatten(2)
    grid = torch.arange(height * width, device=features.device).view(height, width)
    source = grid[: height - 4, 4 : width - 4].flatten()
    targets = [grid[dy : dy + height - 4, 4 + dx : 4 + dx + width - 8].flatten() for dy, dx in pair_offsets(5)]
    ends = flat[:, :, torch.cat(targets)].view(batch, channels, len(targets), -1)
    distance = (flat[:, :, source][:, :, None] - ends).abs().mean(1)
    return torch.exp(-distance).view(batch, len(targets), height - 4, width - 8)


def step(
    affinities: torch.Tensor, features: torch.Tensor, pairs: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    features.grad = None
    affinity_loss(affinities, *pairs).backward()
    assert features.grad is not None
    return features.grad


def ours_on(size: Size, device: str = "cpu") -> Call:
    features, pairs = problem(size, device)
    return lambda: step(pair_affinity(features), features, pairs)


def gathered_on(size: Size, device: str = "cpu") -> Call:
    features, pairs = problem(size, device)
    return lambda: step(gathered(features), features, pairs)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    size = TOY if given.toy else PAPER
    keep_freed_memory()  # as the commands do
    compare_with_gather("affinity loss", ours_on, gathered_on, size, given.repeats)


if __name__ == "__main__":
    main()
