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

from affinitynet.data.collection import open_collection
from affinitynet.files import save_mask, write_text

ANIMALS = ("cat", "cow", "dog", "horse", "sheep")


def draw(voc: Path, to: Path, count: int, seed: int) -> None:
    """Write the collection of ``count`` photographs to learn from."""
    collection = open_collection(voc, ANIMALS, split="train_aug")
    shown = {record.name: record for record in collection.split("train_aug") if record.tags}
    drawn = sorted(random.Random(seed).sample(list(shown), count))
    splits = {"train": [shown[name] for name in drawn], "val": collection.split("val")}
    rows = ["file,tags,split"]
    (to / "images").mkdir(parents=True)
    for split, records in splits.items():
        for record in records:
            rows.append(f"{record.path.name},{';'.join(ANIMALS[tag] for tag in record.tags)},{split}")
            shutil.copy(record.path, to / "images")
            if record.truth is not None:
                save_mask(to / "masks" / f"{record.name}.png", collection.mask(record))
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
