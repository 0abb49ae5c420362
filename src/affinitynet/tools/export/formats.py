"""Writers for the formats of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.errors import InputError
from affinitynet.files import save_mask, write_json, write_text
from affinitynet.records import IGNORE
from affinitynet.tools.export.common import LabelledImages, write_image

SMALLEST_POLYGON = 3  # corners
CORNER_TOLERANCE = 0.7  # largest deviation of a simplified outline, pixels


def write_voc(labelled: LabelledImages, target: Path) -> None:
    """PASCAL VOC: ``JPEGImages``, ``SegmentationClass`` (palette PNG), ``ImageSets/Segmentation``, ``labels.txt``."""
    names: dict[str, list[str]] = {split: [] for split in labelled.splits}
    for split, record, mask in labelled:
        name = record.name
        names[split].append(name)
        write_image(record, target / "JPEGImages" / name, only_jpeg=True)
        save_mask(target / "SegmentationClass" / f"{name}.png", mask)
    for split, members in names.items():
        write_text(target / "ImageSets" / "Segmentation" / f"{split}.txt", "\n".join(members) + "\n")
    write_text(target / "labels.txt", "\n".join(("background", *labelled.classes)) + "\n")


def write_coco(labelled: LabelledImages, target: Path) -> None:
    """COCO: ``images/`` and ``annotations/SPLIT.json``, one run-length encoded region per class and image."""
    codec = _needs("pycocotools.mask", "pycocotools")
    categories = [{"id": c + 1, "name": name, "supercategory": ""} for c, name in enumerate(labelled.classes)]
    tables: dict[str, dict[str, list]] = {
        split: {"images": [], "annotations": [], "categories": categories} for split in labelled.splits
    }
    for split, record, mask in labelled:
        table = tables[split]
        path = write_image(record, target / "images" / record.name)
        number = len(table["images"]) + 1
        height, width = mask.shape
        file_name = path.relative_to(target / "images").as_posix()
        table["images"].append({"id": number, "file_name": file_name, "height": height, "width": width})
        for value in _present(mask):
            code = codec.encode(np.asfortranarray(mask == value, dtype=np.uint8))
            table["annotations"].append(
                {
                    "id": len(table["annotations"]) + 1,
                    "image_id": number,
                    "category_id": value,
                    "segmentation": {"size": [height, width], "counts": code["counts"].decode("ascii")},
                    "area": int(codec.area(code)),
                    "bbox": codec.toBbox(code).tolist(),
                    "iscrowd": 0,
                }
            )
    for split, table in tables.items():
        write_json(target / "annotations" / f"{split}.json", table)


def write_yolo(labelled: LabelledImages, target: Path) -> None:
    """YOLO segmentation: ``images/SPLIT``, ``labels/SPLIT`` (a polygon per connected region) and ``data.yaml``.

    The format does not support holes: they are filled.
    """
    for split, record, mask in labelled:
        name = record.name
        write_image(record, target / "images" / split / name)
        size = np.array(mask.shape[::-1])
        lines = [
            f"{value - 1} " + " ".join(f"{number:.6f}" for number in ((outline + 0.5) / size).flatten())
            for value in _present(mask)
            for outline in outlines(mask == value)
        ]
        write_text(target / "labels" / split / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    paths = [f"{split}: images/{split}" for split in labelled.splits]
    names = [f"  {c}: {json.dumps(name, ensure_ascii=False)}" for c, name in enumerate(labelled.classes)]
    write_text(target / "data.yaml", "\n".join(["path: .", *paths, "names:", *names]) + "\n")


def write_huggingface(labelled: LabelledImages, target: Path) -> None:
    """Hugging Face ``datasets``, imagefolder: ``SPLIT/metadata.jsonl`` names image, mask and tags."""
    rows: dict[str, list[str]] = {split: [] for split in labelled.splits}
    for split, record, mask in labelled:
        path = write_image(record, target / split / "images" / record.name)
        save_mask(target / split / "masks" / f"{record.name}.png", mask)
        row = {
            "file_name": path.relative_to(target / split).as_posix(),
            "mask_file_name": f"masks/{record.name}.png",
            "tags": [labelled.classes[tag] for tag in record.tags],
        }
        rows[split].append(json.dumps(row, ensure_ascii=False))
    for split, lines in rows.items():
        write_text(target / split / "metadata.jsonl", "\n".join(lines) + "\n")
    write_text(target / "labels.txt", "\n".join(("background", *labelled.classes)) + "\n")


FORMATS: dict[str, Callable[[LabelledImages, Path], None]] = {
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
    "huggingface": write_huggingface,
}
"""Name -> writer."""


def _present(mask: np.ndarray) -> list[int]:
    """Return the foreground values of a mask."""
    return [int(value) for value in np.unique(mask) if value not in (0, IGNORE)]


def outlines(region: np.ndarray) -> list[np.ndarray]:
    """Trace the outer outline of each connected part of a region, bool [H, W].

    Returns:
        Arrays [corners, 2] of x, y in pixels, at the centres of the outermost pixels; parts with fewer
        than 3 corners are skipped.

    Example:
        >>> region = np.zeros((5, 6), bool)
        >>> region[1:4, 2:5] = True
        >>> sorted(outlines(region)[0].tolist())
        [[2, 1], [2, 3], [4, 1], [4, 3]]
    """
    cv2 = _needs("cv2", "opencv-python-headless")
    found, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(outline, CORNER_TOLERANCE, True)[:, 0] for outline in found]
    return [outline for outline in simple if len(outline) >= SMALLEST_POLYGON]


def _needs(module: str, package: str) -> Any:
    """Import an optional dependency."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"export: requires {package}; pip install 'affinitynet[export]'") from None
