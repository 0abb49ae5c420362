"""Are two objects of one class told apart? IRNet's objects against the connected pieces of the same masks.

    python -m benchmarks.instances [--train 160] [--val 40]

A world is drawn in code, two creatures of one kind in each picture: in half of them they touch. IRNet learns from the
tags; AP50 and AP75 of the objects' masks are measured on pictures it has not seen.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from affinitynet.config.presets import DEMO
from affinitynet.data.drawn_world import CLASSES, draw_pair
from affinitynet.files import save_mask, write_text
from affinitynet.inference.objects import split_mask
from affinitynet.ops.detection import Comparison, mask_overlaps, mean_average_precision
from affinitynet.pipeline.run import run_pipeline
from affinitynet.records import Instances
from affinitynet.runtime.progress import Progress
from affinitynet.work.folder import WorkFolder
from benchmarks.common import show, table

KINDS = {"apart": False, "touching": True}
AT = (0.5, 0.75)
"""Overlap of the masks from which an object counts as found."""


def draw(root: Path, train: int, val: int) -> dict[str, np.ndarray]:
    """Write pictures with tags, those of val with masks; return which object each pixel of val is."""
    rng = np.random.default_rng(0)
    rows, objects = ["file,tags,split"], {}
    (root / "images").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            for kind, touching in KINDS.items():
                name = f"{split}_{kind}_{number:03d}"
                picture, mask, found = draw_pair(rng, touching)
                Image.fromarray(picture).save(root / "images" / f"{name}.jpg", quality=92)
                rows.append(f"{name}.jpg,{CLASSES[int(mask.max()) - 1]},{split}")
                if split == "val":
                    save_mask(root / "masks" / f"{name}.png", mask)
                    objects[name] = found
    write_text(root / "tags.csv", "\n".join(rows) + "\n")
    return objects


def compared(found: Instances, objects: np.ndarray, kind: int) -> Comparison:
    """Return the objects of a picture beside the two of a class that are there."""
    overlaps = mask_overlaps(found.labels, objects)[: len(found.classes)]
    return Comparison(np.array(found.classes, np.int64), np.array(found.scores), np.array([kind, kind]), overlaps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=160)
    parser.add_argument("--val", type=int, default=40)
    given = parser.parse_args(argv)
    title = f"Objects on {given.val} drawn pictures of each kind"
    made = table(title, "pictures, objects by", *(f"AP{100 * least:.0f} of masks, %" for least in AT))
    with tempfile.TemporaryDirectory() as folder:
        root, work = Path(folder) / "data", WorkFolder(Path(folder) / "work")
        objects = draw(root, given.train // 2, given.val)
        progress = Progress(work.log_file, Console(stderr=True))
        run_pipeline(root, work.root, replace(DEMO, propagation="irnet"), progress=progress)
        for kind in KINDS:
            found: dict[str, list[Comparison]] = {"IRNet": [], "connected pieces": []}
            for name in (name for name in objects if f"_{kind}_" in name):
                mask, cams = work.masks.load(name), work.cams.load(name)
                told_apart = {"IRNet": work.instances.load(name), "connected pieces": split_mask(mask, cams)}
                for how, instances in told_apart.items():
                    found[how].append(compared(instances, objects[name], cams.classes[0]))
            for how, comparisons in found.items():
                means = (mean_average_precision(comparisons, len(CLASSES), least)[0] for least in AT)
                made.add_row(f"{kind}, {how}", *(f"{100 * mean:.1f}" for mean in means))
    show(made)


if __name__ == "__main__":
    main()
