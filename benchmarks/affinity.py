"""Pair affinities and their loss in training, against gathering the features of all pairs.

Sizes of the paper: batch 8, 448 channels, 56x56, 34 offsets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from affinitynet.ops.affinity import affinity_loss, pair_affinity, pair_labels, pair_offsets
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, peak_megabytes, show, table, thread_counts

Size = tuple[int, int, int, int]
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


def compare(size: Size, device: str, repeats: int, counts: list[int]) -> None:
    made = table(
        f"affinity loss, forward and backward, on {device}", "cores", "ours s", "gather s", "ratio", "agreement"
    )
    ours, other = ours_on(size, device), gathered_on(size, device)
    difference = float((ours() - other()).abs().max() / other().abs().max())
    for count in counts:
        torch.set_num_threads(count)
        seconds = paired_seconds({"ours": ours, "gather": other}, repeats, device)
        made.add_row(
            f"{count}",
            f"{seconds['ours']:.3f}",
            f"{seconds['gather']:.3f}",
            f"{seconds['gather'] / seconds['ours']:.1f}",
            f"gradients differ by {difference:.0e} of the largest",
        )
    show(made)


def memory(size: Size) -> None:
    made = table("peak memory of one step", "ours MB", "gather MB", "ratio")
    ours, other = peak_megabytes(ours_on, size), peak_megabytes(gathered_on, size)
    made.add_row(f"{ours:.0f}", f"{other:.0f}", f"{ours / other:.2f}")
    show(made)


def gpu_memory(size: Size) -> None:
    peaks = []
    for prepare in (ours_on, gathered_on):
        call = prepare(size, "cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        peaks.append((torch.cuda.max_memory_allocated() - before) / 2**20)
    print(f"peak memory of one step on the GPU: ours {peaks[0]:.0f} MB, gather {peaks[1]:.0f} MB")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    size = TOY if given.toy else PAPER
    keep_freed_memory()  # as the commands do
    compare(size, "cpu", given.repeats, thread_counts())
    memory(size)
    if torch.cuda.is_available():
        compare(size, "cuda", given.repeats, [torch.get_num_threads()])
        gpu_memory(size)


if __name__ == "__main__":
    main()
