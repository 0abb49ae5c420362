"""One card per image for the report's gallery: small pictures and the numbers it is sorted by."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from affinitynet.data.collection import Collection
from affinitynet.data.images import load_tagged
from affinitynet.ops.affinity import affinity_labels
from affinitynet.ops.decision import doubt
from affinitynet.ops.metrics import confusion_matrix, mean_iou
from affinitynet.pictures.overlays import heat_layer, label_layer
from affinitynet.records import BACKGROUND, IGNORE, Seeds, TaggedImage
from affinitynet.work.folder import WorkFolder

FEW_IMAGES = 1000
SIDE_OF_FEW, SIDE_OF_MANY = 480, 280
"""Long side, pixels, of a card's pictures in a report of at most and of more than ``FEW_IMAGES``."""

QUALITY = 72  # of the photographs' WebP


@dataclass(frozen=True)
class Card:
    """What the gallery shows of an image.

    Args:
        name, split, tags: as in the collection; tags are class names.
        iou: mean IoU over the classes in its ground truth or mask, in [0, 1]; ``None`` without ground truth.
        doubt: how close the second-best score comes to the best, mean over pixels, in [0, 1].
        photo: WebP, base64.
        layers: kind -> transparent PNG to overlay on the photo, base64.
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
    image = load_tagged(record)
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cams, seeds, mask = work.cams.load(record.name), work.seeds.load(record.name), work.masks.load(record.name)
    walk = work.walks.load(record.name) if record.name in work.walks else None
    layers = {
        "cam": heat_layer(cams.scores.numpy().max(0, initial=0), size),
        "seeds": label_layer(_seed_labels(seeds), size),
        "mask": label_layer(mask, size),
    }
    if walk is not None:
        layers["walk"] = heat_layer(walk.scores.numpy().max(0, initial=0), size)
    if record.name in work.segmented:
        layers["network"] = label_layer(work.segmented.load(record.name), size)
    if record.name in work.instances:
        layers["objects"] = label_layer(_own_colours(work.instances.load(record.name).labels), size)
    iou = None
    if record.truth is not None:
        truth = collection.mask(record)
        layers["truth"] = label_layer(truth, size)
        found, expected = (torch.from_numpy(m.astype(np.int64)) for m in (mask, truth))
        iou = mean_iou(confusion_matrix(found, expected, len(collection.classes) + 1))[0]
    photo = io.BytesIO()
    Image.fromarray(image).resize(size, Image.Resampling.LANCZOS).save(photo, "WEBP", quality=QUALITY)
    tags = tuple(collection.classes[tag] for tag in record.tags)
    texts = {kind: _text(layer) for kind, layer in layers.items()}
    scores = seeds.low if walk is None else torch.cat([walk.background_of(alpha)[None], walk.scores])
    return Card(record.name, split, tags, iou, doubt(scores), _text(photo.getvalue()), texts)


def _own_colours(objects: np.ndarray) -> np.ndarray:
    """Return a label uint8 for each object int32 [H, W], so that neighbours differ in colour.

    Example:
        >>> _own_colours(np.array([[0, 1, 2, 255]])).tolist()
        [[0, 1, 2, 1]]
    """
    return np.where(objects > 0, (objects - 1) % (IGNORE - 1) + 1, BACKGROUND).astype(np.uint8)


def _seed_labels(seeds: Seeds) -> np.ndarray:
    """Return confident foreground, confident background and, as ignored, what neither is sure of."""
    labels = affinity_labels(seeds.low, seeds.high).numpy()
    values = np.full(IGNORE + 1, IGNORE, np.uint8)
    values[: len(seeds.classes) + 1] = [BACKGROUND, *(c + 1 for c in seeds.classes)]
    return values[labels]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
