"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
"""Name -> writer. A new format is a file and one entry here."""
