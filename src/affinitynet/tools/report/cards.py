"""One card per image for the report's gallery: small pictures and the numbers it is sorted by."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from affinitynet.data.collection import Collection
from affinitynet.data.images import load_image
from affinitynet.files import load_arrays, voc_palette
from affinitynet.ops.metrics import confusion_matrix, mean_iou
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.work.folder import WorkFolder

FEW_IMAGES = 1000
SIDE_OF_FEW, SIDE_OF_MANY = 480, 280
"""Long side, pixels, of a card's pictures in a report of at most and of more than ``FEW_IMAGES``."""

QUALITY = 72  # of the photographs' WebP
LEVELS = 32  # of a heat map
_TINT, _EDGE_GREY = 150, 200  # opacity of a class's colour; grey of ignored pixels
_HEAT = np.array([[40, 40, 120], [150, 20, 140], [230, 60, 60], [255, 170, 40], [255, 250, 160]], float)


@dataclass(frozen=True)
class Card:
    """What the gallery knows of an image.

    Args:
        name, split, tags: as in the data set; tags are class names.
        iou: mean IoU over the classes in its ground truth or mask, in [0, 1]; ``None`` without truth.
        doubt: how close the second-best score comes to the best, mean over pixels, in [0, 1].
        photo: WebP, base64.
        layers: kind -> PNG with transparency to lay over the photo, base64.
    """

    name: str
    split: str
    tags: tuple[str, ...]
    iou: float | None
    doubt: float
    photo: str
    layers: dict[str, str]


def make_card(
    work: WorkFolder, collection: Collection, split: str, record: TaggedImage, side: int, alpha: float
) -> Card:
    """Read an image and its artifacts and reduce them.

    Args:
        side: long side of the pictures, pixels.
        alpha: background strength that the masks were decided with.
    """
    image = load_image(record.path)
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cams = load_arrays(work.artifact("cams", record.name))["scores"].astype(np.float32)
    seeds = load_arrays(work.artifact("seeds", record.name))
    walk = load_arrays(work.artifact("walks", record.name))
    scores = walk["scores"].astype(np.float32)
    background = walk["background"][int(np.abs(walk["alphas"] - alpha).argmin())].astype(np.float32)
    with Image.open(work.artifact("masks", record.name)) as file:
        mask = np.asarray(file)
    layers = {
        "cam": heat_layer(cams.max(0, initial=0), size),
        "seeds": label_layer(_seed_labels(seeds), size),
        "walk": heat_layer(scores.max(0, initial=0), size),
        "mask": label_layer(mask, size),
    }
    if (segmented := work.artifact("segmented", record.name)).exists():
        with Image.open(segmented) as file:
            layers["network"] = label_layer(np.asarray(file), size)
    iou = None
    if record.mask is not None:
        truth = collection.mask(record)
        layers["truth"] = label_layer(truth, size)
        found, expected = (torch.from_numpy(m.astype(np.int64)) for m in (mask, truth))
        iou = mean_iou(confusion_matrix(found, expected, len(collection.classes) + 1))[0]
    photo = io.BytesIO()
    Image.fromarray(image).resize(size, Image.Resampling.LANCZOS).save(photo, "WEBP", quality=QUALITY)
    tags = tuple(collection.classes[tag] for tag in record.tags)
    return Card(record.name, split, tags, iou, doubt(background, scores), _text(photo), layers)


def doubt(background: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean ratio of the second-best to the best score, background [h, w] and scores [K, h, w].

    Example:
        >>> doubt(np.array([[0.2, 1.0]]), np.array([[[0.4, 0.0]]]))
        0.25
    """
    if not len(scores):
        return 0.0
    second, best = np.sort(np.concatenate([background[None], scores]), axis=0)[-2:]
    return float((second / np.maximum(best, 1e-9)).mean())


def _seed_labels(seeds: dict[str, np.ndarray]) -> np.ndarray:
    """Return confident foreground, confident background and, as ignored, what neither is sure of."""
    low, high = (seeds[key].argmax(0) for key in ("low", "high"))
    values = np.array([IGNORE, *(seeds["classes"] + 1)], np.uint8)
    return np.where(high == 0, 0, values[low]).astype(np.uint8)


def label_layer(labels: np.ndarray, size: tuple[int, int]) -> str:
    """Return labels uint8 [H, W] as a PNG in VOC's hues, background see-through, 255 grey."""
    palette = np.array(voc_palette(), float).reshape(256, 3)
    palette *= 255 / palette.max(1, keepdims=True).clip(1)
    palette[IGNORE] = _EDGE_GREY
    opacity = bytes([0, *[_TINT] * 254, _TINT])
    picture = Image.fromarray(np.ascontiguousarray(labels, np.uint8)).resize(size, Image.Resampling.NEAREST)
    return _palette_png(picture, palette, opacity)


def heat_layer(scores: np.ndarray, size: tuple[int, int]) -> str:
    """Return scores [H, W] in [0, 1] as a heat map PNG that is see-through where they are 0.

    Stored at most a quarter as large as shown: maps are smooth, and the page enlarges them smoothly.
    """
    levels = np.round(np.clip(scores, 0, 1) * (LEVELS - 1)).astype(np.uint8)
    small = (max(1, min(size[0] // 4, scores.shape[1])), max(1, min(size[1] // 4, scores.shape[0])))
    picture = Image.fromarray(levels).resize(small, Image.Resampling.BOX)
    place = np.linspace(0, len(_HEAT) - 1, LEVELS)
    colours = np.stack([np.interp(place, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)], axis=1)
    opacity = bytes((190 * np.sqrt(np.linspace(0, 1, LEVELS))).astype(np.uint8))
    return _palette_png(picture, colours, opacity)


def _palette_png(picture: Image.Image, palette: np.ndarray, opacity: bytes) -> str:
    picture.putpalette(palette.astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=opacity, optimize=True)
    return _text(file)


def _text(file: io.BytesIO) -> str:
    return base64.b64encode(file.getvalue()).decode("ascii")
