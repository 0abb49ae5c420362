"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from affinitynet.tools.export import coco, voc, yolo
from affinitynet.tools.export.coco import write_coco
from affinitynet.tools.export.common import LabelledImages
from affinitynet.tools.export.huggingface import write_huggingface
from affinitynet.tools.export.voc import write_voc
from affinitynet.tools.export.yolo import write_yolo

FORMATS: dict[str, Callable[[LabelledImages, Path], None]] = {
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
    "huggingface": write_huggingface,
}
"""Name -> writer. A new format is a file and one entry here; its help is the first line of the writer's docstring."""


def formats_help() -> str:
    """Return what each format is, for ``--help``."""
    lines = {name: (writer.__doc__ or "").strip().partition("\n")[0].rstrip(".") for name, writer in FORMATS.items()}
    return "; ".join(f"{name}: {line[:1].lower()}{line[1:]}" for name, line in lines.items())


def exported_names(name: str, splits: Iterable[str]) -> set[str]:
    """Return the names that an image may have in an export.

    Args:
        name: of the image.
        splits: names.

    Example:
        >>> sorted(exported_names("train/images/1", ["train"]))
        ['train/images/1', 'train/images_/1', 'train_/images/1']
    """
    return {coco.safe_name(name, tuple(splits)), yolo.safe_name(name), voc.safe_name(name)}
