"""YOLO segmentation: polygons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from affinitynet.files import write_text
from affinitynet.tools.export.common import LabelledImages, foreground, write_image
from affinitynet.tools.export.polygons import opencv, polygons
from affinitynet.tools.export.roles import in_roles, with_validation


def write_yolo(labelled: LabelledImages, target: Path) -> None:
    """Images and labels in train, val (and test), a polygon for each connected region, and data.yaml.

    ``data.yaml`` has no ``path``, so that the images are found beside it from any current folder.
    """
    opencv()  # refuses before the first image is copied
    labelled = with_validation(in_roles(labelled))
    names = labelled.names(safe_name, "YOLO looks for labels where the last folder is called images")
    for split, record, mask in labelled:
        name = names[record.name]
        write_image(record, target / "images" / split / name)
        size = np.array(mask.shape[::-1])
        lines = [
            f"{value - 1} " + " ".join(f"{number:.6f}" for number in (polygon / size).flatten())
            for value in foreground(mask)
            for polygon in polygons(mask == value)
        ]
        write_text(target / "labels" / split / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    paths = [f"{split}: images/{split}" for split in labelled.splits]
    classes = [f"  {c}: {json.dumps(name, ensure_ascii=False)}" for c, name in enumerate(labelled.classes)]
    write_text(target / "data.yaml", "\n".join([*paths, "names:", *classes]) + "\n")


def safe_name(name: str) -> str:
    """Rename folders called ``images``: the labels' path is made from the last folder of that name.

    Example:
        >>> safe_name("site 1/images/cat"), safe_name("images")
        ('site 1/images_/cat', 'images')
    """
    *folders, stem = name.split("/")
    return "/".join([*("images_" if folder == "images" else folder for folder in folders), stem])
