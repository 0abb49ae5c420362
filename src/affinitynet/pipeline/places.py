"""Training images -> local classifier, and what the collection looks like to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.data.images import image_size
from affinitynet.data.turns import in_turn
from affinitynet.inference.tagged import see_places
from affinitynet.models.local_classifier import STRIDE, LocalClassifier, seen_size
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.training.holdout import MOST, hold_out, some_of_each_class
from affinitynet.training.places import STEPS, Places, train_places
from affinitynet.work.learnt import ClassLearnt, classes_learnt

MEMORY = 1.5 * 2**30
"""Bytes of features that are held at most; of a larger collection, an even draw of its classes is learnt from."""

WAYS = 3
"""Ways to hold images out, which are judged together, where fewer than :data:`MOST` images are held out."""

COARSER = 2
"""Places that are averaged to one, along each side: as good to learn from, and a quarter of the memory and time."""

SEEN = 0.5
"""Probability above which a place counts as seen."""

SAMPLES, LEAST_OF_A_CLASS, MOST_SAMPLES = 100, 10, 200
"""Tagged images on whose outlines and sizes the plan rests: in all, of each class where there are many, at most."""

OUTLINE = 2  # pixels to each side of it
LEAST_GRADIENT = 1e-3  # of an image of one colour

NO_TAG = -1  # stands for the images without any

LABEL = "train-classifier"


@dataclass(frozen=True)
class Sample:
    """A tagged image: its tags, how its colours change float32 [H, W], and the features of its places [D, h, w]."""

    tags: tuple[int, ...]
    gradient: Tensor
    features: Tensor


def learn_places(context: Context) -> tuple[LocalClassifier, tuple[ClassLearnt, ...]]:
    """Train a local classifier on the training split, and measure it on the images held out."""
    config, classes = context.config, context.collection.classes
    model = LocalClassifier(start_backbone(context), classes).to(context.runtime.device).eval()
    records = _fitting(context, len(model.mean))
    places = _see(context, model, records)
    parts = _parts(places, records, config.classifier.hold_out, config.seed)
    training, held_out = parts[0]
    samples = _samples(context, model, records)
    with context.runtime.progress.bar(LABEL, STEPS * len(parts)) as advance:
        precision = train_places(model, parts, config.seed, lambda: _contrast(model, samples), advance)
    counts = [int(found) for found in training.tags.sum(0)], [int(found) for found in held_out.tags.sum(0)]
    learnt = classes_learnt(classes, *counts, len(held_out.features), precision.tolist())
    return model, _with_sizes(model, samples, learnt)


def _parts(places: Places, records: Sequence[TaggedImage], share: float, seed: int) -> list[tuple[Places, Places]]:
    """Return what is learnt from and what is held out; in more than one way where that are few images.

    Images that somebody drew masks for are learnt from, unless all that could be held out are such.
    """
    found, drawn = [], np.array([record.drawn is not None for record in records])
    for number in range(WAYS):
        held = hold_out(records, share, seed + number)
        held = held & ~drawn if (held & ~drawn).any() else held
        found.append((places.only(~held), places.only(held)))
        if not held.any() or held.sum() >= MOST:
            break
    return found


def look_at_places(context: Context, model: LocalClassifier) -> tuple[ClassLearnt, ...]:
    """Return what the collection looks like to a local classifier that was trained before."""
    records = context.training_images
    counts = [sum(number in record.tags for record in records) for number in range(len(model.classes))]
    learnt = classes_learnt(model.classes, counts, [0] * len(counts), 0, [math.nan] * len(counts))
    samples = _samples(context, model.to(context.runtime.device), records)
    return _with_sizes(model, samples, learnt)


def _fitting(context: Context, depth: int) -> list[TaggedImage]:
    """Return the training images whose features fit into memory, each class in turn."""
    records = list(context.training_images)
    sizes = [seen_size(image_size(record.path)) for record in records[:: max(1, len(records) // 100)]]
    number = int(MEMORY / (2 * depth * np.mean([height * width / (STRIDE * COARSER) ** 2 for height, width in sizes])))
    if number >= len(records):
        return records
    kinds: dict[int, list[int]] = {}
    for index in np.random.default_rng(context.config.seed).permutation(len(records)).tolist():
        for kind in records[index].tags or (NO_TAG,):
            kinds.setdefault(kind, []).append(index)
    drawn = [index for index, record in enumerate(records) if record.drawn]
    chosen = list(islice(dict.fromkeys([*drawn, *in_turn(kinds.values())]), number))
    context.runtime.progress.say(
        f"{LABEL}: learns from {len(chosen)} of {len(records)} images, drawn evenly from the classes: as many as fit "
        "into memory"
    )
    return [records[index] for index in sorted(chosen)]


def _see(context: Context, model: LocalClassifier, records: Sequence[TaggedImage]) -> Places:
    """Compute the features of the images' places once."""
    found: dict[int, Tensor] = {}

    def see(number: int) -> None:
        image, precision = context.image(records[number]), context.config.cams.precision
        features = see_places(model, image, context.runtime.device, precision)
        found[number] = F.avg_pool2d(features, COARSER, ceil_mode=True)[0].half()

    context.runtime.for_each_image(f"{LABEL}: features", see, range(len(records)))
    device = context.runtime.device
    tags = torch.zeros(len(records), len(model.classes))
    for number, record in enumerate(records):
        tags[number, list(record.tags)] = 1
    drawn = {
        number: shares_of(context.work.drawn.load(record.name), len(model.classes), found[number].shape[1:]).to(device)
        for number, record in enumerate(records)
        if record.drawn
    }
    return Places([found[number] for number in range(len(records))], tags.to(device), drawn)


def shares_of(drawn: np.ndarray, classes: int, places: Sequence[int]) -> Tensor:
    """Return the share of each class in each place of a drawn mask, NaN where the mask does not say all.

    Args:
        drawn: uint8 [H, W]; 0 background, class + 1, 255 unknown.
        classes: C.
        places: (h, w).

    Returns:
        float32 [C, h, w].

    Example:
        >>> shares_of(np.array([[0, 2, 255, 0]], np.uint8), 2, (1, 2))
        tensor([[[0.0000,    nan]],
        <BLANKLINE>
                [[0.5000,    nan]]])
    """
    labels = torch.from_numpy(drawn.copy())
    values = torch.tensor([IGNORE, *range(1, classes + 1)], dtype=torch.uint8)
    shares = F.adaptive_avg_pool2d((labels == values[:, None, None]).float(), (places[0], places[1]))
    return torch.where(shares[:1] > 0, torch.nan, shares[1:])


def _samples(context: Context, model: LocalClassifier, records: Sequence[TaggedImage]) -> list[Sample]:
    """Return some tagged images, of each class about as many, with the features of their places."""
    each = max(LEAST_OF_A_CLASS, SAMPLES // len(model.classes))
    chosen = some_of_each_class(records, each, MOST_SAMPLES, context.config.seed)
    found: dict[str, Sample] = {}

    def see(record: TaggedImage) -> None:
        image = context.image(record)
        features = see_places(model, image, context.runtime.device, context.config.cams.precision)
        found[record.name] = Sample(record.tags, gradient(image), features[0].half().cpu())

    context.runtime.for_each_image(f"{LABEL}: outlines", see, chosen)
    return [found[record.name] for record in chosen]


@torch.inference_mode()
def _contrast(model: LocalClassifier, samples: Sequence[Sample]) -> float:
    """Return how much stronger the image's gradient is where the outlines of what is seen lie: 1 is by chance."""
    ratios: list[list[float]] = [[] for _ in model.classes]
    for sample in samples:
        scores = _probabilities(model, sample)[:, list(sample.tags)]
        full = F.interpolate(scores, sample.gradient.shape, mode="bilinear", align_corners=False)[0] > SEEN
        for tag, seen in zip(sample.tags, full, strict=True):
            outline = outlines(seen)
            if outline.any():
                mean = float(sample.gradient.mean())
                ratios[tag].append(float(sample.gradient[outline].mean()) / max(mean, LEAST_GRADIENT))
    known = [float(np.mean(found)) for found in ratios if found]
    return max(float(np.mean(known)), LEAST_GRADIENT) if known else 1.0


def _probabilities(model: LocalClassifier, sample: Sample) -> Tensor:
    """Return how probable each class is in each place of a sample, [1, C, h, w], on the CPU."""
    return model.place_probabilities(sample.features[None].to(model.mean.device)).cpu()


def gradient(image: np.ndarray) -> Tensor:
    """Return how much the colours of an image uint8 [H, W, 3] change at each pixel: float32 [H, W].

    Example:
        >>> gradient(np.array([[[0, 0, 0], [9, 0, 0], [9, 0, 0]]], np.uint8))
        tensor([[9., 0., 0.]])
    """
    values = torch.from_numpy(image.astype(np.float32))
    colours = torch.zeros(values.shape[:2])
    colours[:-1] += (values[1:] - values[:-1]).abs().sum(2)
    colours[:, :-1] += (values[:, 1:] - values[:, :-1]).abs().sum(2)
    return colours


def outlines(seen: Tensor) -> Tensor:
    """Return the pixels at which a region bool [H, W] begins or ends, two pixels to each side.

    Example:
        >>> outlines(torch.tensor([[False, False, False, True, True, True]])).int()
        tensor([[0, 1, 1, 1, 1, 0]], dtype=torch.int32)
    """
    region = seen.float()[None, None]
    grown = F.max_pool2d(region, 2 * OUTLINE + 1, 1, OUTLINE)
    shrunk = -F.max_pool2d(-region, 2 * OUTLINE + 1, 1, OUTLINE)
    return (grown != shrunk)[0, 0]


@torch.inference_mode()
def _with_sizes(
    model: LocalClassifier, samples: Sequence[Sample], learnt: Sequence[ClassLearnt]
) -> tuple[ClassLearnt, ...]:
    """Add to each class how much of a tagged image shows it, and how large a piece is, in pixels and as a share."""
    shares: list[list[float]] = [[] for _ in learnt]
    sizes: list[list[float]] = [[] for _ in learnt]
    parts: list[list[float]] = [[] for _ in learnt]
    for sample in samples:
        seen = _probabilities(model, sample)[0] > SEEN
        pixels = sample.gradient.shape[0] / seen.shape[1]
        for number in sample.tags:
            shares[number].append(float(seen[number].float().mean()))
            if seen[number].any():
                sizes[number].append(pixels * diameter(seen[number]))
                parts[number].append(sizes[number][-1] / max(sample.gradient.shape))
    return tuple(
        replace(found, share=_median(shares[number]), size=_median(sizes[number]), part=_median(parts[number]))
        for number, found in enumerate(learnt)
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def diameter(seen: Tensor) -> float:
    """Return how wide the pieces of a region are: of discs, their diameter.

    It is 4 / pi of the mean length of the runs along rows and columns, the mean chord of a disc being pi / 4 of its
    diameter.

    Args:
        seen: bool [h, w], somewhere true.

    Example:
        >>> y, x = torch.meshgrid(torch.arange(99.0), torch.arange(99.0), indexing="ij")
        >>> round(diameter((y - 40) ** 2 + (x - 50) ** 2 < 20**2))
        41
    """
    area = float(seen.sum())
    rows = float((seen[:, 1:] & ~seen[:, :-1]).sum() + seen[:, 0].sum())
    columns = float((seen[1:] & ~seen[:-1]).sum() + seen[0].sum())
    return 4 / math.pi * 2 * area / (rows + columns)
