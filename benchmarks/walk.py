"""Random walk: sparse Chebyshev products, against the released code's dense repeated squaring."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import torch

from affinitynet.ops.affinity import pair_affinity
from affinitynet.ops.walk import random_walk, transition_matrix
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, peak_megabytes, show, table, thread_counts

Size = tuple[int, int]
SMALL = (47, 63)  # a 500x375 image at stride 8
LARGER: tuple[tuple[int, int], ...] = ((94, 125), (375, 500))  # 1000x750, 4000x3000
TOY = (12, 16)
CHANNELS = 3


def problem(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores [3, H, W] and affinities of smooth features with edges, contrasts as a trained net has."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 24, max(2, height // 8), max(2, width // 8), generator=generator)
    features = 3 * torch.nn.functional.interpolate(coarse, (height, width), mode="nearest")
    features += 0.1 * torch.rand(1, 24, height, width, generator=generator)
    return torch.rand(CHANNELS, height, width, generator=generator), pair_affinity(features)[0]


def ours(scores: torch.Tensor, affinity: torch.Tensor) -> torch.Tensor:
    return random_walk(scores, affinity, beta=8, steps=256)


def dense(scores: torch.Tensor, affinity: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Square the dense matrix eight times, as the released code does; building it is not counted against it."""
    matrix = transition_matrix(affinity, (scores.shape[1], scores.shape[2])).to_dense().to(dtype)
    return _squared(matrix, scores)


def _squared(matrix: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    for _ in range(8):
        matrix = matrix @ matrix
    return (matrix @ scores.flatten(1).T.to(matrix.dtype)).T.reshape(scores.shape)


def ours_on(height: int, width: int) -> Call:
    scores, affinity = problem(height, width)
    return lambda: ours(scores, affinity)


def dense_on(height: int, width: int) -> Call:
    scores, affinity = problem(height, width)
    return lambda: dense(scores, affinity)


def gigabytes_of_dense(height: int, width: int) -> str:
    return f"{(height * width) ** 2 * 4 / 1e9:.3g} GB a matrix"


def compare(small: Size, larger: Sequence[Size], device: str, repeats: int, counts: list[int]) -> None:
    made = table(
        f"random walk on {device}: 256 steps, 3 channels", "map", "cores", "ours ms", "dense ms", "ratio", "error"
    )
    scores, affinity = (t.to(device) for t in problem(*small))
    matrix = transition_matrix(affinity, small).to_dense().float()
    exact = dense(scores, affinity, torch.float64)
    errors = [float((walked - exact).abs().max()) for walked in (ours(scores, affinity), _squared(matrix, scores))]
    for count in counts:
        torch.set_num_threads(count)
        fast = paired_seconds({"ours": lambda: ours(scores, affinity)}, repeats, device)["ours"]
        slow = paired_seconds({"dense": lambda: _squared(matrix, scores)}, 3, device)["dense"]
        made.add_row(
            f"{small[1]}x{small[0]}",
            f"{count}",
            f"{1e3 * fast:.1f}",
            f"{1e3 * slow:.0f}",
            f"{slow / fast:.0f}",
            f"ours {errors[0]:.0e}, dense {errors[1]:.0e}",
        )
    for height, width in larger:
        scores, affinity = (t.to(device) for t in problem(height, width))
        fast = paired_seconds({"ours": partial(ours, scores, affinity)}, 3, device)["ours"]
        made.add_row(f"{width}x{height}", f"{counts[-1]}", f"{1e3 * fast:.0f}", gigabytes_of_dense(height, width))
    show(made)


def memory(small: Size, larger: Sequence[Size]) -> None:
    made = table("peak memory", "map", "ours MB", "dense MB")
    dense_peak = f"{peak_megabytes(dense_on, *small):.0f}"
    for size in (small, *larger):
        other = dense_peak if size == small else gigabytes_of_dense(*size)
        made.add_row(f"{size[1]}x{size[0]}", f"{peak_megabytes(ours_on, *size):.0f}", other)
    show(made)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    small, larger = (TOY, ()) if given.toy else (SMALL, LARGER)
    keep_freed_memory()  # as the commands do
    compare(small, larger, "cpu", given.repeats, thread_counts())
    memory(small, larger)
    if torch.cuda.is_available():
        compare(small, larger, "cuda", given.repeats, [torch.get_num_threads()])


if __name__ == "__main__":
    main()
