"""What do a few drawn masks bring? The same collection with tags alone, and with the masks of some images beside them.

    python -m benchmarks.learning_curve --data DATA --work WORK [--counts 0 5 10 30 100] [--split val] [--seed 0]

``DATA`` has ground truth for images of the training split; of these so many teach. Each run is the default one, in a
folder of its own below ``WORK``, and continues if it was interrupted. Beside it, the network that those masks alone
train, with as many steps (``benchmarks.segmenter``).
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from affinitynet.config.presets import preset
from affinitynet.config.settings import PipelineConfig
from affinitynet.pipeline.run import run_pipeline
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.progress import Progress
from affinitynet.work.folder import WorkFolder
from benchmarks.common import show, table
from benchmarks.segmenter import supervised

STEPS = {"masks, tags known": "masks", "network, no tags": "segmentation network, no tags"}


def settings(count: int, seed: int) -> PipelineConfig:
    """Return the default settings with the masks of ``count`` images to learn from."""
    config = replace(preset("lite"), seed=seed)
    if not count:
        return config
    return replace(config, learn_from="masks", drawn=replace(config.drawn, most=count, hold_out=0.0))


def of_the_classes(measured: dict[str, Any]) -> float:
    """Return the mean IoU of the classes, without background, of a step in ``metrics.json``."""
    known = [value for name, value in measured["iou"].items() if name != "background" and value is not None]
    return statistics.mean(known) if known else math.nan


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=[0, 5, 10, 30, 100])
    parser.add_argument("--split", default="val")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    title = f"mIoU, and mean IoU of the classes, on {given.split} of {given.data.name}, %"
    made = table(title, "drawn masks", *STEPS, "network of these masks alone")
    for count in given.counts:
        work = WorkFolder(given.work / f"drawn-{count}")
        progress = Progress(work.log_file, Console(stderr=True))
        metrics = run_pipeline(given.data, work.root, settings(count, given.seed), progress=progress)[given.split]
        found = [
            f"{100 * metrics[step]['miou']:.1f} / {100 * of_the_classes(metrics[step]):.1f}" if step in metrics else ""
            for step in STEPS.values()
        ]
        alone = supervised(work, count, given.split) if count else None
        made.add_row(f"{count}", *found, "" if alone is None else f"{100 * alone[0]:.1f} / {100 * alone[1]:.1f}")
    show(made)


if __name__ == "__main__":
    main()
