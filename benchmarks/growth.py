"""Does the cost of an image stay the same in large collections? Seconds an image and memory of every stage.

    python -m benchmarks.growth [--counts 1000 3000 10000 30000] [--maps cam|local]

Collections of drawn pictures of 64 pixels, of which one in twenty is measured on. Small pictures and one pass of each
training let what grows with the number of images show beside what each image costs. Every collection has a process of
its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from affinitynet.config.presets import preset
from affinitynet.config.settings import CamConfig, PipelineConfig, PredictConfig, WalkConfig
from affinitynet.data.drawn_world import CLASSES, draw_picture
from affinitynet.files import save_mask, write_text
from affinitynet.pipeline.run import run_pipeline
from affinitynet.records import BACKGROUND, IGNORE
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.work.folder import WorkFolder
from benchmarks import common
from benchmarks.common import show, table

Maps: TypeAlias = Literal["cam", "local"]
Costs: TypeAlias = dict[str, tuple[float, int]]
"""Stage -> its seconds, and the largest memory in MB of the process until its end."""

SIDE, DRAWN, MEASURED = 64, 100, 20
"""Pixels of a side, pictures that are drawn (the others repeat them with other noise), one in how many is measured."""


def settings(maps: Maps) -> PipelineConfig:
    """Return the default settings for small pictures, every stage included, with one pass of each training."""
    given = preset("lite")
    small = {"crop_size": SIDE, "epochs": 1, "min_steps": 0, "precision": "float32"}
    return replace(
        given,
        classifier=replace(given.classifier, **small, maps=maps),  # type: ignore[arg-type]
        cams=CamConfig(scales=(1.0,), precision="float32"),
        affinity=replace(given.affinity, **small),  # type: ignore[arg-type]
        walk=WalkConfig(precision="float32"),
        masks=replace(given.masks, source="walk"),
        segmenter=replace(given.segmenter, **small, rounds=2, long_side=SIDE),  # type: ignore[arg-type]
        refine=replace(given.refine, masks=True),
        predict=PredictConfig(precision="float32"),
    )


def draw(root: Path, count: int) -> None:
    """Write ``count`` pictures with tags, and masks of those that are measured."""
    rng = np.random.default_rng(0)
    pictures = [draw_picture(rng) for _ in range(min(count, DRAWN))]
    size, rows = (SIDE, SIDE), ["file,tags,split"]
    small = [
        (
            np.asarray(Image.fromarray(picture).resize(size)),
            np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)),
        )
        for picture, mask in pictures
    ]
    (root / "images").mkdir(parents=True)
    for number in range(count):
        picture, mask = small[number % len(small)]
        noisy = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        name, split = f"{number:06d}", "train" if number % MEASURED else "val"
        Image.fromarray(noisy).save(root / "images" / f"{name}.jpg")
        seen = sorted(set(np.unique(mask).tolist()) - {BACKGROUND, IGNORE})
        rows.append(f"{name}.jpg,{';'.join(CLASSES[label - 1] for label in seen)},{split}")
        if split == "val":
            save_mask(root / "masks" / f"{name}.png", mask)
    write_text(root / "tags.csv", "\n".join(rows) + "\n")


def costs(count: int, maps: Maps) -> Costs:
    """Run everything on a collection of ``count`` pictures; return what each stage cost, and what a second run does."""
    keep_freed_memory()  # as the commands do
    with tempfile.TemporaryDirectory() as folder:
        data, work = Path(folder) / "data", WorkFolder(Path(folder) / "work")
        draw(data, count)
        run_pipeline(data, work.root, settings(maps), device="cpu")
        found = {name: (record.seconds, record.peak_memory_mb or 0) for name, record in work.records().items()}
        start = time.perf_counter()
        run_pipeline(data, work.root, settings(maps), device="cpu")
        found["the same command again"] = time.perf_counter() - start, max(peak for _, peak in found.values())
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 3000, 10000, 30000])
    parser.add_argument("--maps", choices=["cam", "local"], default="cam")
    given = parser.parse_args(argv)
    found = []
    for count in given.counts:
        context = multiprocessing.get_context(common.START_METHOD)
        with ProcessPoolExecutor(1, mp_context=context) as pool:  # one that may start loaders of its own
            found.append(pool.submit(costs, count, given.maps).result())
        print(f"{count} images: {sum(seconds for seconds, _ in found[-1].values()):.0f} s", flush=True)
    columns = [f"{count:,} images" for count in given.counts]
    made = table("milliseconds an image, and largest memory so far in MB", "", *columns)
    for stage in found[0]:
        cells = zip(given.counts, found, strict=True)
        shown = [(1000 * one[stage][0] / count, one[stage][1]) for count, one in cells if stage in one]
        made.add_row(stage, *(f"{milliseconds:.1f}, {peak:,}" for milliseconds, peak in shown))
    show(made)


if __name__ == "__main__":
    main()
