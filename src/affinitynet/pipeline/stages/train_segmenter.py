"""Masks -> segmentation network (paper, section 4.4; docs/method.md, "Segmentation network")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from affinitynet.config.settings import PipelineConfig, SegmenterConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import jitter_colours, normalise, random_crop, random_flip, resize, to_tensor
from affinitynet.models.backbones.registry import build_backbone, is_backbone, pretrained_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.segmenter import LARGEFOV, Segmenter, start_from, start_from_hub
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample
from affinitynet.work.folder import WorkFolder


@dataclass(frozen=True)
class SegmenterSamples:
    """Index -> one augmented crop float32 [3, S, S] and its labels int64 [S, S], 255 outside the image.

    A class of plain values, so that it can be sent to another process.
    """

    records: tuple[TaggedImage, ...]
    work: WorkFolder
    config: SegmenterConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]

    def __call__(self, index: int) -> Sample:
        record, crop = self.records[index], self.config.crop_size
        image = load_tagged(record)
        picture = Image.fromarray(self.work.masks.load(record.name))
        shortest, longest = (round(crop * scale) for scale in (self.config.min_scale, self.config.max_scale))
        factor = int(torch.randint(shortest, longest + 1, ())) / max(image.shape[:2])
        size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
        mask = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
        pixels = normalise(
            jitter_colours(to_tensor(resize(image, (size[0], size[1]))), self.config.jitter), self.mean, self.std
        )
        # The canvas around a small image is 0, so labels are held below 0 until they are cropped.
        below = torch.from_numpy(mask.astype(np.int64))[None] - IGNORE
        pixels, below = random_flip(*random_crop(crop, pixels, below))
        return pixels, below[0] + IGNORE


def train_segmenter(context: Context) -> None:
    """Train the segmentation network on the masks of the training split and write ``segmenter.safetensors``."""
    config, records = context.config.segmenter, context.training_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = new_segmenter(context.config, context.collection.classes)
        _start(model, context)
    samples = SegmenterSamples(records, context.work, config, model.mean, model.std)
    context.fit("segmenter", model, samples, _loss, config)
    context.finish_training("segmenter", model)


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
    architecture = config.segmenter.architecture or ("DeepLabV3Plus" if fits_smp else LARGEFOV)
    return Segmenter(architecture, encoder, classes, config.taps if encoder == config.network else None)


def check_segmenter(config: PipelineConfig, classes: Sequence[str]) -> None:
    """See whether the segmentation network can be built and started, before hours are spent on its masks.

    Raises:
        InputError: it cannot.
    """
    with torch.device("meta"):
        model = new_segmenter(config, classes)
        if config.segmenter.start == "classifier":
            start_from(model, build_backbone(config.network, config.taps))


def _start(model: Segmenter, context: Context) -> None:
    """Give the encoder the weights that ``segmenter.start`` names."""
    start, encoder = context.config.segmenter.start, model.settings["encoder"]
    if start == "classifier":
        start_from(model, TagClassifier.load(context.work.weights("classifier")).backbone)
    elif start == "imagenet" and encoder == context.config.network:
        start_from(model, start_backbone(context))
    elif start == "imagenet" and is_backbone(encoder):
        start_from(model, pretrained_backbone(encoder))
    elif start == "imagenet":
        start_from_hub(model)


def _loss(model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    images, labels = batch
    total = F.cross_entropy(model(images), labels, ignore_index=IGNORE, reduction="sum")
    return total / mean_count((labels != IGNORE).sum())
