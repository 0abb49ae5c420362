"""YOLO segmentation: polygons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from affinitynet.files import write_text
from affinitynet.tools.export.common import LabelledImages, foreground, needs, write_image

SMALLEST_POLYGON = 3  # corners
CORNER_TOLERANCE = 0.7  # largest deviation of a simplified outline, pixels


def write_yolo(labelled: LabelledImages, target: Path) -> None:
    """Write ``images/SPLIT``, ``labels/SPLIT`` (a polygon per connected region) and ``data.yaml``.

    The format does not support holes: they are filled.
    """
    for split, record, mask in labelled:
        name = record.name
        write_image(record, target / "images" / split / name)
        size = np.array(mask.shape[::-1])
        lines = [
            f"{value - 1} " + " ".join(f"{number:.6f}" for number in ((outline + 0.5) / size).flatten())
            for value in foreground(mask)
            for outline in outlines(mask == value)
        ]
        write_text(target / "labels" / split / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    paths = [f"{split}: images/{split}" for split in labelled.splits]
    names = [f"  {c}: {json.dumps(name, ensure_ascii=False)}" for c, name in enumerate(labelled.classes)]
    write_text(target / "data.yaml", "\n".join(["path: .", *paths, "names:", *names]) + "\n")


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
    cv2 = needs("cv2", "opencv-python-headless")
    found, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(outline, CORNER_TOLERANCE, True)[:, 0] for outline in found]
    return [outline for outline in simple if len(outline) >= SMALLEST_POLYGON]
