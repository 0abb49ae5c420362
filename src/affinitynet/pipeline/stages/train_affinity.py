"""Confident seeds -> AffinityNet (paper, section 3.2; docs/method.md, "AffinityNet")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.config.settings import AffinityConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import jitter_colours, normalise, random_crop, random_flip, reduced, to_tensor
from affinitynet.errors import InputError
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.classifier import load_classifier
from affinitynet.ops.affinity import affinity_labels, affinity_loss, pair_affinity, pair_labels
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.records import TaggedImage
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample
from affinitynet.work.folder import WorkFolder


@dataclass(frozen=True)
class AffinitySamples:
    """Index -> one augmented crop float32 [3, S, S] and its labels int64 [S / 8, S / 8] (docs/method.md, "Labels").

    A class of plain values, so that it can be sent to another process.
    """

    records: tuple[TaggedImage, ...]
    work: WorkFolder
    longest_side: int | None
    config: AffinityConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]

    def __call__(self, index: int) -> Sample:
        record = self.records[index]
        image = to_tensor(reduced(load_tagged(record), self.longest_side))
        image = jitter_colours(image, self.config.jitter)
        low, high = self._seeds(record.name, image.shape[1:])
        image, low, high = random_flip(*random_crop(self.config.crop_size, image, low, high))
        low, high = (F.avg_pool2d(scores.float(), AffinityNet.stride) for scores in (low, high))
        return normalise(image, self.mean, self.std), affinity_labels(low, high)

    def _seeds(self, name: str, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Read an image's low and high scores, float16 [K + 1, H, W]."""
        seeds = self.work.seeds.load(name)
        if seeds.low.shape[1:] != size:
            path = self.work.seeds.path(name)
            raise InputError(
                f"{path}: made from an image of another size, which has changed since; run again, which says what has "
                "to be recomputed"
            )
        return seeds.low, seeds.high


def train_affinity(context: Context) -> None:
    """Train AffinityNet on the seeds of the training split and write ``affinity.safetensors``."""
    config = context.config.affinity
    model = AffinityNet.load(Path(config.trained)) if config.trained else _train(context)
    context.finish_training("affinity", model)


def _train(context: Context) -> AffinityNet:
    config = context.config.affinity
    # An image without a tag has no foreground, so its seeds tell nothing apart.
    records = tuple(record for record in context.training_images if record.tags)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        if config.start == "classifier":
            backbone = load_classifier(context.work.weights("classifier")).backbone
        else:
            backbone = start_backbone(context)
        model = AffinityNet(backbone)
    samples = AffinitySamples(records, context.work, context.config.longest_side, config, backbone.mean, backbone.std)
    context.fit("affinity", model, samples, partial(_loss, config), config)
    return model


def _loss(config: AffinityConfig, model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    images, labels = batch
    affinity = pair_affinity(model(images), config.radius, config.border)
    return affinity_loss(affinity, *pair_labels(labels, config.radius, config.border), mean_count)
