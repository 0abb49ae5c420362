"""Masks -> segmentation network (paper, section 4.4; docs/method.md, "Segmentation network")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from affinitynet.config.adaptation import given, seed_crf
from affinitynet.config.settings import PipelineConfig
from affinitynet.config.trainings import SegmenterConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import (
    jitter_colours,
    normalise,
    on_canvas,
    random_flip,
    random_windows,
    resize,
    to_tensor,
)
from affinitynet.files import save_weights
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.backbones.registry import build_backbone, is_backbone, pretrained_backbone
from affinitynet.models.classifier import load_classifier
from affinitynet.models.segmenter import (
    CRF,
    DEEPLAB,
    LABELLED_AT,
    LARGEFOV,
    LONG_SIDE,
    NOT_FOUND,
    Segmenter,
    TrainingOutput,
    start_from,
    start_from_hub,
)
from affinitynet.ops.dice import dice_loss
from affinitynet.ops.presence import presence_loss
from affinitynet.pipeline.context import Context, check_classes, label_images, start_backbone
from affinitynet.pipeline.drawn import learnt_from
from affinitynet.pipeline.relabel import relabel
from affinitynet.pipeline.tags_found import not_found
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample
from affinitynet.work.artifacts import Artifacts

ROUND = "round"
"""Name of the number of finished rounds in the settings saved with an unfinished network."""


@dataclass(frozen=True)
class SegmenterSamples:
    """Index -> one augmented crop float32 [3, S, S] and its labels int64 [S, S], 255 outside the image, and the tags.

    The tags are float32 [C], 0 or 1. A class of plain values, so that it can be sent to another process.
    """

    records: tuple[TaggedImage, ...]
    num_classes: int
    masks: Artifacts[np.ndarray]
    config: SegmenterConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]

    def __call__(self, index: int) -> Sample:
        record, config = self.records[index], self.config
        image = load_tagged(record)
        picture = Image.fromarray(self.masks.load(record.name))
        shortest, longest = (round(config.learnt_at * scale) for scale in (config.min_scale, config.max_scale))
        factor = int(torch.randint(shortest, longest + 1, ())) / max(image.shape[:2])
        size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
        mask = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
        share, crop = config.labelled_crops, config.crop_size
        within = _random_place(mask) if share and torch.rand(()) < share else None
        source, target = random_windows(crop, size, within)
        cut = jitter_colours(resize(image, (size[0], size[1]))[source], config.jitter)
        pixels = normalise(to_tensor(cut), self.mean, self.std)
        # The canvas around a small image is 0, so labels are held below 0 until they are on it.
        below = torch.from_numpy(mask[source].astype(np.int64))[None] - IGNORE
        pixels, below = random_flip(*(on_canvas(crop, cut_out, target) for cut_out in (pixels, below)))
        tags = torch.zeros(self.num_classes)
        tags[list(record.tags)] = 1
        return pixels, below[0] + IGNORE, tags


def _random_place(mask: np.ndarray) -> tuple[int, int] | None:
    """Return a random pixel (row, column) of a random class of a mask; ``None`` if it has none.

    Example:
        >>> _random_place(np.array([[0, 0, 2], [0, 0, 255]], np.uint8))
        (0, 2)
    """
    classes = [label for label in np.unique(mask).tolist() if 0 < label < IGNORE]
    if not classes:
        return None
    rows, columns = np.nonzero(mask == classes[int(torch.randint(0, len(classes), ()))])
    chosen = int(torch.randint(0, len(rows), ()))
    return int(rows[chosen]), int(columns[chosen])


def train_segmenter(context: Context) -> None:
    """Train the segmentation network and write ``segmenter.safetensors``.

    It learns from the first masks of the training split; each further round starts from it and learns from what it
    finds in these images where their tags are known.
    """
    config, work = context.config.segmenter, context.work
    if config.trained:
        context.finish_training("segmenter", _trained(Path(config.trained), context.collection.classes))
        return
    seen = learnt_from(context.training_images, context.config.drawn.share)
    done, model = _last_round(context)
    rounds = given(config.rounds)
    of_a_round = replace(config, epochs=ceil(config.epochs / rounds), min_steps=ceil(config.min_steps / rounds))
    for number in range(done, rounds):
        masks = work.first_masks if number == 0 else work.relabelled
        if number:
            _relabel(context, model, number)
        samples = SegmenterSamples(seen, len(model.classes), masks, config, model.mean, model.std)
        context.fit("segmenter", model, samples, partial(segmenter_loss, config), of_a_round)
        if number + 1 < rounds:
            _finish_round(context, model, number + 1)
    if context.runtime.processes.first:
        model.settings[NOT_FOUND] = not_found(context, model)
    context.finish_training("segmenter", model)
    if context.runtime.processes.first:
        _round_file(context).unlink(missing_ok=True)


def _trained(path: Path, classes: Sequence[str]) -> Segmenter:
    """Read the network of ``segmenter.trained``."""
    model = Segmenter.load(path)
    check_classes("--segmenter.trained", path, model.classes, classes)
    return model


def _last_round(context: Context) -> tuple[int, Segmenter]:
    """Return how many rounds are done and the network they led to, or a new one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = new_segmenter(context.config, context.collection.classes)
        _start(model, context)
    path = _round_file(context)
    if not path.exists():
        return 0, model
    done = Segmenter.load(path)
    model.load_state_dict(done.state_dict())
    return int(done.settings[ROUND]), model


def _finish_round(context: Context, model: Segmenter, number: int) -> None:
    """Keep the network of a round, so that a run that is killed goes on from it."""
    processes, work = context.runtime.processes, context.work
    processes.wait()
    if processes.first:
        for relabelled in [record.name for record in context.training_images if record.name in work.relabelled]:
            work.relabelled.path(relabelled).unlink()
        # First, since a later round would take it for its own; a run that is killed here repeats the round.
        work.checkpoint("segmenter").unlink(missing_ok=True)
        save_weights(_round_file(context), model.state_dict(), model.settings | {ROUND: number})
    processes.wait()


def _relabel(context: Context, model: Segmenter, number: int) -> None:
    """Write what the network finds in the training images, as the next round's labels."""
    predictor = SegmentationPredictor(model, context.config.predict.once(), context.runtime.device)
    label_images(
        context,
        context.work.relabelled,
        f"train-segmenter: labels of round {number + 1}",
        lambda record: relabel(context, predictor, record)[0],
        context.training_images,
    )
    context.runtime.processes.wait()


def _round_file(context: Context) -> Path:
    return context.work.root / "segmenter.round.safetensors"


def new_segmenter(config: PipelineConfig, classes: Sequence[str]) -> Segmenter:
    """Build the segmentation network of a config, with random weights.

    Raises:
        InputError: an unknown architecture or encoder.

    Example:
        >>> new_segmenter(PipelineConfig(network="timm:test_vit"), ["cat"]).settings["architecture"]
        'LargeFOV'
    """
    encoder = config.segmenter.encoder or config.network
    fits_smp = encoder == "lite" or not is_backbone(encoder)
    architecture = config.segmenter.architecture or (DEEPLAB if fits_smp else LARGEFOV)
    taps = config.taps if encoder == config.network else None
    finds_tags, channels = config.segmenter.tag_loss > 0, config.segmenter.decoder_channels
    model = Segmenter(architecture, encoder, classes, taps, finds_tags, channels)
    if config.segmenter.long_side is not None:
        model.settings[LONG_SIDE] = config.segmenter.long_side
    if config.seeds.crf_scale is not None:
        model.settings |= {CRF: asdict(seed_crf(config)), LABELLED_AT: config.longest_side}
    return model


def check_segmenter(config: PipelineConfig, classes: Sequence[str]) -> None:
    """See whether the segmentation network can be built and started, before hours are spent on its masks.

    Raises:
        InputError: it cannot.
    """
    if config.segmenter.trained:
        _trained(Path(config.segmenter.trained), classes)
        return
    with torch.device("meta"):
        model = new_segmenter(config, classes)
        if config.segmenter.start == "classifier":
            start_from(model, build_backbone(config.network, config.taps))


def _start(model: Segmenter, context: Context) -> None:
    """Give the encoder the weights that ``segmenter.start`` names."""
    start, encoder = context.config.segmenter.start, model.settings["encoder"]
    if start == "classifier":
        start_from(model, load_classifier(context.work.weights("classifier")).backbone)
    elif start == "imagenet" and encoder == context.config.network:
        start_from(model, start_backbone(context))
    elif start == "imagenet" and is_backbone(encoder):
        start_from(model, pretrained_backbone(encoder))
    elif start == "imagenet":
        start_from_hub(model)


def segmenter_loss(config: SegmenterConfig, model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    """Return the loss of a batch of :class:`SegmenterSamples` (docs/method.md, "Segmentation network")."""
    images, labels, tags = batch
    found = model(images)
    logits = found.pixels if isinstance(found, TrainingOutput) else found
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    loss = total / mean_count((labels != IGNORE).sum())
    if config.dice:
        loss = loss + config.dice * dice_loss(logits, labels, mean_count)
    if isinstance(found, TrainingOutput):
        loss = loss + config.tag_loss * presence_loss(found.tags, labels, tags, mean_count)
    return loss
