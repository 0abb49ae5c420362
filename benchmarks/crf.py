"""Dense CRF: two background strengths of one image at once, against pydensecrf run twice.

The peer: pip install pydensecrf2. Without it, ours alone is measured.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch

from affinitynet.ops.crf import dense_crf
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, peak_megabytes, photograph, show, table, thread_counts

PEER = find_spec("pydensecrf") is not None
Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((375, 500), (750, 1000))
TOY: tuple[Size, ...] = ((24, 32),)
LARGE = (4000, 6000)


def blobs(height: int, width: int) -> torch.Tensor:
    """Return scores [2, 2, H, W] of two problems: a smooth blob against two background strengths."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    cam = torch.exp(-2 * ((x - 0.2) ** 2 + y**2))
    return torch.stack([torch.stack([(1 - cam) ** alpha, cam]) for alpha in (4, 32)])


def ours(image: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return dense_crf(image, scores)


def peer(image: torch.Tensor, scores: torch.Tensor) -> np.ndarray:
    import pydensecrf.densecrf

    found = []
    for problem in scores.numpy():
        crf = pydensecrf.densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(problem))
        crf.setUnaryEnergy(-np.log(problem.clip(1e-5, 1)).reshape(len(problem), -1).astype(np.float32))
        crf.addPairwiseGaussian(sxy=3, compat=3)
        crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image.numpy(), compat=10)
        found.append(np.array(crf.inference(10)).reshape(problem.shape))
    return np.stack(found)


def ours_on(paths: list[str | None], height: int, width: int) -> Call:
    """Return a call that labels every photograph in turn."""
    images, scores = [photograph(path, height, width) for path in paths], blobs(height, width)
    return lambda: [ours(image, scores) for image in images]


def peer_on(paths: list[str | None], height: int, width: int) -> Call:
    images, scores = [photograph(path, height, width) for path in paths], blobs(height, width)
    return lambda: [peer(image, scores) for image in images]


def calls_on(paths: list[str | None], height: int, width: int) -> dict[str, Call]:
    """Return ours and, where it is installed, the peer's."""
    calls = {"ours": ours_on(paths, height, width)}
    return calls | {"peer": peer_on(paths, height, width)} if PEER else calls


def images_at_once(paths: list[str | None], size: Size, threads: int) -> Call:
    """Label as the stages do: as many images as cores, one core each; every photograph ``threads`` times."""
    calls = [ours_on([path], *size) for path in paths]

    def run() -> None:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(call) for call in threads * calls]:
                future.result()

    return run


def agreement(paths: list[str | None], height: int, width: int) -> str:
    """Return how many labels equal pydensecrf's in the worst photograph, and the mean difference of scores."""
    scores, same, difference = blobs(height, width), [], []
    for path in paths:
        image = photograph(path, height, width)
        found, expected = ours(image, scores).numpy(), peer(image, scores)
        same.append((found.argmax(1) == expected.argmax(1)).mean())
        difference.append(np.abs(found - expected).mean())
    return f"{100 * min(same):.3f} % equal, mean difference {np.mean(difference):.0e}"


def cpu(paths: list[str | None], sizes: Sequence[Size], repeats: int) -> None:
    columns = ("size", "cores", "ours s", "pydensecrf twice s", "ratio", "")
    made = table(f"dense CRF, two problems, 2 labels; an image's mean over {len(paths)}", *columns)
    threads = thread_counts()

    def add(size: Size, count: int, seconds: dict[str, float], note: str) -> None:
        theirs = seconds.get("peer", math.nan)
        numbers = f"{seconds['ours']:.3f}", f"{theirs:.3f}", f"{theirs / seconds['ours']:.1f}"
        made.add_row(f"{size[1]}x{size[0]}", f"{count}", *numbers, note)

    for size in sizes:
        note = agreement(paths, *size) if PEER else "without the peer: pip install pydensecrf2"
        for count in threads:
            torch.set_num_threads(count)
            seconds = paired_seconds(calls_on(paths, *size), repeats)
            add(size, count, {k: s / len(paths) for k, s in seconds.items()}, note)
    if (count := threads[-1]) > 1:
        calls = calls_on(paths, *sizes[0]) | {"ours": images_at_once(paths, sizes[0], count)}
        seconds = paired_seconds(calls, repeats)
        images = {"ours": count * len(paths), "peer": len(paths)}
        add(sizes[0], count, {k: s / images[k] for k, s in seconds.items()}, "an image a core, per image")
    show(made)


def memory(path: str | None, sizes: Sequence[Size]) -> None:
    made = table("peak memory", "size", "ours MB", "ours bytes/pixel", "pydensecrf MB")
    for height, width in sizes:
        megabytes = peak_megabytes(ours_on, [path], height, width)
        theirs = peak_megabytes(peer_on, [path], height, width) if PEER else math.nan
        each = megabytes * 2**20 / height / width
        made.add_row(f"{width}x{height}", f"{megabytes:.0f}", f"{each:.0f}", f"{theirs:.0f}")
    show(made)


def large(path: str | None) -> None:
    """One image of 24 megapixels."""
    height, width = LARGE
    seconds = paired_seconds({"ours": ours_on([path], height, width)}, 1)["ours"]
    megabytes = peak_megabytes(ours_on, [path], height, width)
    print(
        f"{width}x{height}: {seconds:.0f} s, {megabytes:.0f} MB, {megabytes * 2**20 / height / width:.0f} bytes/pixel"
    )


def gpu(path: str | None, sizes: Sequence[Size], repeats: int) -> None:
    made = table("dense CRF on the GPU", "size", "s", "images/s", "peak MB", "against the CPU")
    for height, width in sizes:
        image, scores = photograph(path, height, width), blobs(height, width)
        expected = ours(image, scores)
        image, scores = image.cuda(), scores.cuda()
        torch.cuda.reset_peak_memory_stats()
        seconds = paired_seconds({"ours": partial(ours, image, scores)}, repeats, "cuda")["ours"]
        same = (ours(image, scores).cpu().argmax(1) == expected.argmax(1)).double().mean()
        made.add_row(
            f"{width}x{height}",
            f"{seconds:.4f}",
            f"{1 / seconds:.1f}",
            f"{torch.cuda.max_memory_allocated() / 2**20:.0f}",
            f"{100 * same:.3f} % equal",
        )
    show(made)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--images", nargs="+", default=[None], help="photographs; without one, a drawn and noisy picture"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="also one image of 24 megapixels: minutes, 20 GB")
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    sizes = TOY if given.toy else SIZES
    keep_freed_memory()  # as the commands do
    cpu(given.images, sizes, given.repeats)
    memory(given.images[0], sizes)
    if given.large:
        large(given.images[0])
    if torch.cuda.is_available():
        gpu(given.images[0], sizes, given.repeats)


if __name__ == "__main__":
    main()
