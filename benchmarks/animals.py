"""The 300 animals of README and how-it-adapts.md: a small collection with a table, drawn from a VOC devkit folder.

    python -m benchmarks.animals --voc DEVKIT --to FOLDER [--count 300] [--seed 0]

``FOLDER`` gets ``count`` photographs of ``train_aug`` that show an animal, all of ``val``, ``tags.csv`` and the masks
that there are. People and all else are background.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from defusedxml import ElementTree
from PIL import Image

from affinitynet.files import save_mask, write_text
from affinitynet.records import IGNORE

ANIMALS = {"cat": 8, "cow": 10, "dog": 12, "horse": 13, "sheep": 17}
"""Classes in the order of their numbers here (1 and on) -> their numbers in VOC's masks."""


def tags_of(voc: Path, name: str) -> list[str]:
    """Return the animals among the objects of a photograph."""
    objects = ElementTree.parse(voc / "Annotations" / f"{name}.xml").iter("object")
    return sorted(ANIMALS.keys() & {found.findtext("name") for found in objects})


def renumbered(mask: np.ndarray) -> np.ndarray:
    """Return VOC's mask [H, W] with the animals' numbers here, undecided pixels as they are, all else background."""
    numbers = np.zeros(256, np.uint8)
    numbers[list(ANIMALS.values())] = range(1, len(ANIMALS) + 1)
    numbers[IGNORE] = IGNORE
    return numbers[mask]


def draw(voc: Path, to: Path, count: int, seed: int) -> None:
    """Write the collection of ``count`` photographs to learn from."""
    lists = {
        split: (voc / "ImageSets/Segmentation" / f"{split}.txt").read_text().split() for split in ("train_aug", "val")
    }
    shown = [name for name in lists["train_aug"] if tags_of(voc, name)]
    splits = {"train": sorted(random.Random(seed).sample(shown, count)), "val": lists["val"]}
    rows = ["file,tags,split"]
    (to / "images").mkdir(parents=True)
    for split, names in splits.items():
        for name in names:
            rows.append(f"{name}.jpg,{';'.join(tags_of(voc, name))},{split}")
            shutil.copy(voc / "JPEGImages" / f"{name}.jpg", to / "images")
            truth = voc / "SegmentationClass" / f"{name}.png"
            if truth.exists():
                save_mask(to / "masks" / f"{name}.png", renumbered(np.asarray(Image.open(truth))))
    write_text(to / "tags.csv", "\n".join(rows) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voc", required=True, type=Path)
    parser.add_argument("--to", required=True, type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    draw(given.voc, given.to, given.count, given.seed)


if __name__ == "__main__":
    main()
