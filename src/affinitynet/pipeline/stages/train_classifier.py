"""Tags -> classifier (paper, section 3.1; docs/method.md, "Tag classifier")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from affinitynet.config.settings import ClassifierConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import (
    jitter_colours,
    normalise,
    random_crop,
    random_flip,
    random_resize_long,
    to_tensor,
)
from affinitynet.errors import InputError
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.records import TaggedImage
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample


@dataclass(frozen=True)
class ClassifierSamples:
    """Index -> one augmented crop float32 [3, S, S] and its tags float32 [C] (docs/method.md, "Tag classifier").

    A class of plain values, so that it can be sent to another process.
    """

    records: tuple[TaggedImage, ...]
    num_classes: int
    config: ClassifierConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]

    def __call__(self, index: int) -> Sample:
        record, size = self.records[index], self.config.crop_size
        shortest, longest = (round(size * scale) for scale in (self.config.min_scale, self.config.max_scale))
        image = to_tensor(random_resize_long(load_tagged(record), shortest, longest))
        (flipped,) = random_flip(jitter_colours(image, self.config.jitter))
        (cropped,) = random_crop(size, normalise(flipped, self.mean, self.std))
        tags = torch.zeros(self.num_classes)
        tags[list(record.tags)] = 1
        return cropped, tags


def train_classifier(context: Context) -> None:
    """Train the tag classifier on the training split and write ``classifier.safetensors``."""
    config = context.config.classifier
    model = _trained(context, Path(config.trained)) if config.trained else _train(context)
    context.finish_training("classifier", model)


def _trained(context: Context, path: Path) -> TagClassifier:
    """Read the classifier of ``classifier.trained``."""
    classes = context.collection.classes
    model = TagClassifier.load(path, classes)
    if model.classes != classes:
        raise InputError(
            f"--classifier.trained {path}: was trained on {len(model.classes)} classes ({', '.join(model.classes)}), "
            f"the collection has {len(classes)} ({', '.join(classes)}); choose them with --classes"
        )
    return model


def _train(context: Context) -> TagClassifier:
    config, records = context.config.classifier, context.training_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = TagClassifier(start_backbone(context), context.collection.classes)
    backbone = model.backbone
    samples = ClassifierSamples(records, len(model.classes), config, backbone.mean, backbone.std)
    context.fit("classifier", model, samples, _loss, config)
    return model


def _loss(model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    images, tags = batch
    return tag_loss(model(images), tags, mean_count)
