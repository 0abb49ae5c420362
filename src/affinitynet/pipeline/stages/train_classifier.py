"""Tags -> classifier (paper, section 3.1; docs/method.md, "Tag classifier")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from affinitynet.config.trainings import ClassifierConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import (
    jitter_colours,
    normalise,
    random_crop,
    random_flip,
    random_resize_long,
    to_tensor,
)
from affinitynet.inference.tags import tag_probabilities
from affinitynet.models.classifier import TagClassifier, load_classifier, tag_loss
from affinitynet.models.local_classifier import LOCAL, LocalClassifier
from affinitynet.ops.metrics import average_precision
from affinitynet.pipeline.adapt import decisions
from affinitynet.pipeline.context import Context, check_classes, start_backbone
from affinitynet.pipeline.drawn_alpha import choose_low_alpha
from affinitynet.pipeline.places import learn_places, look_at_places
from affinitynet.records import TaggedImage
from affinitynet.training.holdout import hold_out
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample
from affinitynet.work.learnt import CAM, ClassLearnt, Learnt, classes_learnt, write_learnt


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
        colours = jitter_colours(random_resize_long(load_tagged(record), shortest, longest), self.config.jitter)
        (flipped,) = random_flip(to_tensor(colours))
        (cropped,) = random_crop(size, normalise(flipped, self.mean, self.std))
        tags = torch.zeros(self.num_classes)
        tags[list(record.tags)] = 1
        return cropped, tags


def train_classifier(context: Context) -> None:
    """Train the tag classifier on the training split and write ``classifier.safetensors``.

    ``classifier.json`` says how well it knows the tags of the images that were held out.
    """
    config = context.config.classifier
    if config.trained:
        model = _trained(context, Path(config.trained))
        if isinstance(model, LocalClassifier) and context.runtime.processes.first:
            context.decide(decisions(Learnt(look_at_places(context, model), LOCAL)))
        context.finish_training("classifier", model)
    elif config.maps == LOCAL:
        if context.runtime.processes.first:
            _train_local(context)
    else:
        _train(context)
    context.runtime.processes.wait()


def _trained(context: Context, path: Path) -> TagClassifier | LocalClassifier:
    """Read the classifier of ``classifier.trained``."""
    classes = context.collection.classes
    model = load_classifier(path, classes)
    check_classes("--classifier.trained", path, model.classes, classes)
    return model


def _train_local(context: Context) -> None:
    model, learnt = learn_places(context)
    found = Learnt(learnt, LOCAL)
    context.decide(decisions(found))
    choose_low_alpha(context, model)
    _finish(context, model, found)


def _train(context: Context) -> None:
    config, records = context.config.classifier, context.training_images
    held = hold_out(records, config.hold_out, context.config.seed)
    training = tuple(record for record, out in zip(records, held, strict=True) if not out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = TagClassifier(start_backbone(context), context.collection.classes)
    backbone = model.backbone
    samples = ClassifierSamples(training, len(model.classes), config, backbone.mean, backbone.std)
    context.fit("classifier", model, samples, _loss, config)
    if not context.runtime.processes.first:
        return
    if held.any():
        measured = [record for record, out in zip(records, held, strict=True) if out]
        _finish(context, model, Learnt(_measure(context, model, training, measured), CAM))
    else:
        context.finish_training("classifier", model)


def _measure(
    context: Context, model: TagClassifier, training: Sequence[TaggedImage], measured: Sequence[TaggedImage]
) -> tuple[ClassLearnt, ...]:
    """Return how well a classifier knows the tags of images it has not seen."""
    found = np.zeros((len(measured), len(model.classes)), np.float32)

    def see(number: int) -> None:
        found[number] = tag_probabilities(model, load_tagged(measured[number]), context.config.classifier)

    context.runtime.for_each_image("train-classifier: held out", see, range(len(measured)))
    tags, learnt = _tags(measured, len(model.classes)), _tags(training, len(model.classes))
    counts = learnt.sum(0).tolist(), tags.sum(0).tolist()
    return classes_learnt(model.classes, *counts, len(measured), average_precision(found, tags).tolist())


def _tags(records: Sequence[TaggedImage], classes: int) -> np.ndarray:
    """Return which of the classes each image has: bool [N, C]."""
    tags = np.zeros((len(records), classes), bool)
    for number, record in enumerate(records):
        tags[number, list(record.tags)] = True
    return tags


def _finish(context: Context, model: TagClassifier | LocalClassifier, learnt: Learnt) -> None:
    """Write the network and what it has learnt, and say that in a line for each class."""
    write_learnt(context.work.classifier_file, learnt)
    for line in learnt.lines():
        context.runtime.progress.say(f"train-classifier: {line}")
    context.finish_training("classifier", model)


def _loss(model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    images, tags = batch
    return tag_loss(model(images), tags, mean_count)
