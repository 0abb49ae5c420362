"""COCO: one JSON file per split, regions run-length encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affinitynet.files import write_json
from affinitynet.tools.export.common import LabelledImages, foreground, needs, write_image


def write_coco(labelled: LabelledImages, target: Path) -> None:
    """Write ``images/`` and ``annotations/SPLIT.json``, one run-length encoded region per class and image."""
    codec = needs("pycocotools.mask", "pycocotools")
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
        for value in foreground(mask):
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
