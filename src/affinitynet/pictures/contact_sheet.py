"""One picture of the result: rows of image, CAM, mask and ground truth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from affinitynet.data.collection import Collection
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import reduced
from affinitynet.files import atomic_file
from affinitynet.ops.decision import enlarge
from affinitynet.pictures.overlays import overlay_heat, overlay_mask
from affinitynet.records import TaggedImage
from affinitynet.work.folder import WorkFolder

ROWS = 8
CELL = (280, 210)  # width, height in pixels
GAP = 10
CAPTION = 26
INK, PAPER = (40, 40, 46), (255, 255, 255)


def write_contact_sheet(work: WorkFolder, collection: Collection, split: str, longest_side: int | None) -> None:
    """Write ``contact_sheet.png``: images of the evaluation split, or of the training split without one.

    Args:
        split: name of the training split.
        longest_side: of the images as they were labelled, pixels.
    """
    split = collection.evaluation_splits[-1] if collection.evaluation_splits else split
    records = [record for record in collection.split(split) if record.tags] or collection.split(split)
    chosen = [records[i * len(records) // ROWS] for i in range(ROWS)] if len(records) > ROWS else records
    heads = ["image", "class activation map", "mask", "ground truth"][: 4 if collection.evaluation_splits else 3]
    width, height = CELL[0] + GAP, CELL[1] + CAPTION + GAP
    sheet = Image.new("RGB", (GAP + width * len(heads), GAP + CAPTION + height * len(chosen)), PAPER)
    for column, head in enumerate(heads):
        _write(sheet, (GAP + column * width, GAP), head, size=17)
    for row, record in enumerate(chosen):
        top = GAP + CAPTION + row * height
        for column, picture in enumerate(_pictures(work, collection, record, longest_side)[: len(heads)]):
            cell = ImageOps.contain(Image.fromarray(picture), CELL, Image.Resampling.LANCZOS)
            sheet.paste(cell, (GAP + column * width, top))
        tags = ", ".join(collection.classes[c] for c in record.tags) or "no tag"
        _write(sheet, (GAP, top + CELL[1] + 2), f"{record.name}: {tags}", size=14)
    with atomic_file(work.root / "contact_sheet.png") as file:
        sheet.save(file, "PNG")


def _pictures(
    work: WorkFolder, collection: Collection, record: TaggedImage, longest_side: int | None
) -> list[np.ndarray]:
    """Return the record's image, CAM overlay, mask overlay and ground-truth overlay, uint8 [h, w, 3]."""
    image = reduced(load_tagged(record), longest_side)
    size = image.shape[:2]
    cams = work.cams.load(record.name).scores.numpy().max(0, initial=0)
    mask = work.masks.load(record.name)
    pictures = [image, overlay_heat(image, cams), overlay_mask(image, enlarge(mask, size))]
    if record.truth is not None:
        pictures.append(overlay_mask(image, enlarge(collection.mask(record), size)))
    return pictures


def _write(sheet: Image.Image, place: tuple[int, int], text: str, size: int) -> None:
    ImageDraw.Draw(sheet).text(place, text, fill=INK, font=ImageFont.load_default(size))
