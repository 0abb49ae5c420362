"""One picture of the result: rows of image, CAM, mask and ground truth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from affinitynet.data.images import load_image
from affinitynet.data.store import atomic_file, voc_palette
from affinitynet.data.transforms import reduced
from affinitynet.ops.labels import enlarge
from affinitynet.stages.context import Context, load_cams
from affinitynet.types import IGNORE, TaggedImage

ROWS = 8
CELL = (280, 210)  # width, height in pixels
GAP = 10
CAPTION = 26
INK, PAPER = (40, 40, 46), (255, 255, 255)

# Rising from nothing through red to yellow, so that an overlay shows where a class is seen and how clearly.
_HEAT = np.array([[40, 40, 120], [150, 20, 140], [230, 60, 60], [255, 170, 40], [255, 250, 160]], np.float32)
_PALETTE = np.array(voc_palette(), np.float32).reshape(256, 3)
_TINTS = _PALETTE * (255 / _PALETTE.max(1, keepdims=True).clip(1))  # VOC's hues, bright enough to see on a photograph


def write_contact_sheet(context: Context) -> None:
    """Write ``contact_sheet.png``: images of the evaluation split, or of the training split without one."""
    split = context.dataset.evaluation_splits[-1] if context.dataset.evaluation_splits else context.split
    records = [record for record in context.dataset.split(split) if record.tags] or context.dataset.split(split)
    chosen = [records[i * len(records) // ROWS] for i in range(ROWS)] if len(records) > ROWS else records
    heads = ["image", "class activation map", "mask", "ground truth"][: 4 if context.dataset.evaluation_splits else 3]
    width, height = CELL[0] + GAP, CELL[1] + CAPTION + GAP
    sheet = Image.new("RGB", (GAP + width * len(heads), GAP + CAPTION + height * len(chosen)), PAPER)
    for column, head in enumerate(heads):
        _write(sheet, (GAP + column * width, GAP), head, size=17)
    for row, record in enumerate(chosen):
        top = GAP + CAPTION + row * height
        for column, picture in enumerate(_pictures(context, record)[: len(heads)]):
            cell = ImageOps.contain(Image.fromarray(picture), CELL, Image.Resampling.LANCZOS)
            sheet.paste(cell, (GAP + column * width, top))
        tags = ", ".join(context.dataset.classes[c] for c in record.tags) or "no tag"
        _write(sheet, (GAP, top + CELL[1] + 2), f"{record.name}: {tags}", size=14)
    with atomic_file(context.work.root / "contact_sheet.png") as file:
        sheet.save(file, "PNG")


def _pictures(context: Context, record: TaggedImage) -> list[np.ndarray]:
    """Return the record's image, CAM overlay, mask overlay and ground-truth overlay, uint8 [h, w, 3]."""
    image = reduced(load_image(record.path), context.config.longest_side)
    size = image.shape[:2]
    cams = load_cams(context.work, record.name).scores.max(0, initial=0)
    with Image.open(context.work.artifact("masks", record.name)) as file:
        mask = np.asarray(file)
    pictures = [image, overlay_heat(image, cams), overlay_mask(image, enlarge(mask, size))]
    if record.mask is not None:
        pictures.append(overlay_mask(image, enlarge(context.dataset.mask(record), size)))
    return pictures


def overlay_heat(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Lay scores [H, W] in [0, 1] over an image as heat; where they are 0 the image shows.

    Example:
        >>> overlay_heat(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1))).tolist()
        [[[0, 0, 0]]]
    """
    position = np.clip(scores, 0, 1) * (len(_HEAT) - 1)
    heat = np.stack([np.interp(position, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)], axis=-1)
    opacity = 0.75 * np.sqrt(np.clip(scores, 0, 1))[..., None]
    return (image * (1 - opacity) + heat * opacity).astype(np.uint8)


def overlay_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint an image with a mask's colours and draw its outlines; ignored pixels turn grey.

    Example:
        >>> overlay_mask(np.full((1, 1, 3), 9, np.uint8), np.zeros((1, 1), np.uint8)).tolist()
        [[[9, 9, 9]]]
    """
    colours = _TINTS[mask]
    colours[mask == IGNORE] = 200
    opacity = np.where(mask == 0, 0.0, 0.6)[..., None]
    picture = image * (1 - opacity) + colours * opacity
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    picture[edge & (mask != IGNORE)] = 255
    return picture.astype(np.uint8)


def _write(sheet: Image.Image, place: tuple[int, int], text: str, size: int) -> None:
    ImageDraw.Draw(sheet).text(place, text, fill=INK, font=ImageFont.load_default(size))
