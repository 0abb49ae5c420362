"""COCO: one JSON file per split, regions as polygons."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.files import atomic_file
from affinitynet.tools.export.common import LabelledImages, foreground, needs, write_image
from affinitynet.tools.export.polygons import opencv, polygons

LEAST_SCORE = 1e-5
"""Of an object that is exported: pieces too small to count have 0."""


def write_coco(labelled: LabelledImages, target: Path) -> None:
    """Images, and an annotation (iscrowd 0) for each connected region, or for each object with its score.

    ``annotations/SPLIT.json`` is there a second time as ``instances_SPLIT.json``, the name that datumaro looks for.
    """
    opencv()  # refuses before the first image is copied
    codec = needs("pycocotools.mask", "pycocotools")
    splits = tuple(labelled.splits)
    names = labelled.names(
        lambda name: safe_name(name, splits), "a folder with the name of a split is taken for all images of it"
    )
    tables = {split: _Table(labelled.classes) for split in splits}
    for split, record, mask in labelled:
        path = write_image(record, target / "images" / names[record.name])
        number = tables[split].add_image(path.relative_to(target / "images").as_posix(), mask.shape)
        table, objects = tables[split], labelled.objects(record)
        if objects is not None:
            for index, (kind, score) in enumerate(zip(objects.classes, objects.scores, strict=True)):
                if score >= LEAST_SCORE:
                    table.add_region(codec, number, kind + 1, polygons(objects.mask(index)), mask.shape, score)
            continue
        for value in foreground(mask):
            for polygon in polygons(mask == value):
                table.add_region(codec, number, value, [polygon], mask.shape)
    for split, table in tables.items():
        for name in (split, f"instances_{split}"):
            table.write(target / "annotations" / f"{name}.json")


def safe_name(name: str, splits: tuple[str, ...]) -> str:
    """Rename the outermost folder if it is called like a split.

    Example:
        >>> safe_name("train/cat", ("train", "val")), safe_name("cats/train", ("train", "val"))
        ('train_/cat', 'cats/train')
    """
    folder, slash, rest = name.partition("/")
    return f"{folder}_/{rest}" if slash and folder in splits else name


class _Table:
    """The JSON file of a split; its rows are kept as text, which takes a tenth of the memory of lists of numbers."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.categories = [_row(id=c + 1, name=name, supercategory="") for c, name in enumerate(classes)]
        self.images: list[str] = []
        self.annotations: list[str] = []

    def add_image(self, file_name: str, shape: tuple[int, ...]) -> int:
        """Add an image and return its number."""
        number = len(self.images) + 1
        self.images.append(_row(id=number, file_name=file_name, height=shape[0], width=shape[1]))
        return number

    def add_region(
        self,
        codec: Any,
        image: int,
        value: int,
        outlines: Iterable[np.ndarray],
        shape: tuple[int, ...],
        score: float | None = None,
    ) -> None:
        """Add a region of an image, by its class's mask value and its polygons float64 [corners, 2]."""
        corners = [outline.flatten().tolist() for outline in outlines]
        if not corners:
            return
        code = codec.merge(codec.frPyObjects(corners, *shape))
        self.annotations.append(
            _row(
                id=len(self.annotations) + 1,
                image_id=image,
                category_id=value,
                segmentation=corners,
                area=int(codec.area(code)),
                bbox=codec.toBbox(code).tolist(),
                iscrowd=0,
                **({} if score is None else {"score": round(score, 4)}),
            )
        )

    def write(self, path: Path) -> None:
        """Write the file, a row a line; it may be larger than what fits into memory twice."""
        parts = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        with atomic_file(path) as file:
            file.write(b'{\n"info": {"description": "masks by affinitynet"},\n"licenses": []')
            for name, rows in parts.items():
                file.write(f',\n"{name}": [\n'.encode())
                for number, row in enumerate(rows):
                    file.write(((",\n" if number else "") + row).encode())
                file.write(b"\n]")
            file.write(b"\n}\n")


def _row(**content: Any) -> str:
    return json.dumps(content)
