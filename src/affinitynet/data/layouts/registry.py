"""The layouts by name."""

from __future__ import annotations

from affinitynet.data.layouts import class_folders, coco, cvat, folder, huggingface, voc, voc_xml, yolo
from affinitynet.data.layouts.base import LayoutReader

LAYOUTS: dict[str, LayoutReader] = {
    "voc": voc,
    "coco": coco,
    "yolo": yolo,
    "cvat": cvat,
    "huggingface": huggingface,
    "folder": folder,
    "voc xml": voc_xml,
    "class folders": class_folders,
}
"""Layout -> its file; the first that recognises a folder reads it. A new layout is a file and one entry here."""

FALLBACKS = frozenset(("voc xml", "class folders"))
"""Layouts that many a folder of another layout has too: they are looked for where there is no other."""

SPECIAL_CASES = {"huggingface": "folder"}
"""Layout -> another one that each folder of it has too, so that it is not worth a word."""
