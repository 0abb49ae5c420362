"""PASCAL VOC: a devkit folder."""

from __future__ import annotations

from pathlib import Path

from affinitynet.files import save_mask, write_text
from affinitynet.tools.export.common import LabelledImages, write_image


def write_voc(labelled: LabelledImages, target: Path) -> None:
    """Write ``JPEGImages``, ``SegmentationClass`` (palette PNG), ``ImageSets/Segmentation``, ``labels.txt``."""
    names: dict[str, list[str]] = {split: [] for split in labelled.splits}
    for split, record, mask in labelled:
        name = record.name
        names[split].append(name)
        write_image(record, target / "JPEGImages" / name, only_jpeg=True)
        save_mask(target / "SegmentationClass" / f"{name}.png", mask)
    for split, members in names.items():
        write_text(target / "ImageSets" / "Segmentation" / f"{split}.txt", "\n".join(members) + "\n")
    write_text(target / "labels.txt", "\n".join(("background", *labelled.classes)) + "\n")
