"""What every stage is given, and the loop over images that the labelling stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from affinitynet.config.adaptation import Decision, adapted, holds, is_open, lines_of
from affinitynet.config.settings import RANDOM, PipelineConfig
from affinitynet.config.trainings import TrainConfig
from affinitynet.data.collection import Collection
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import reduced
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone, pretrained_backbone
from affinitynet.records import VALUES, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.training.checkpoint import TrainingFiles
from affinitynet.training.loop import Loss, fit
from affinitynet.training.samples import TrainingSamples
from affinitynet.work.artifacts import Artifacts
from affinitynet.work.folder import WorkFolder

Record = TypeVar("Record")


@dataclass(frozen=True)
class Context:
    """A run: the data, where results go, the settings, and how to compute and report.

    Args:
        collection: without what check-data skipped.
        unchecked: the same with it.
        config: settings; in a stage, with what was left open filled in.
        split: name of the split that is trained on.
        runtime: how to compute and report.
        given: settings as they were given.
    """

    collection: Collection
    unchecked: Collection
    work: WorkFolder
    config: PipelineConfig
    split: str
    runtime: Runtime
    given: PipelineConfig

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Note what the collection decided of the settings that were left open, and say it."""
        made = [decision for decision in decisions if is_open(self.given, decision.setting)]
        if self.runtime.processes.first:
            self.work.decide(made)
            for line in lines_of(decision for decision in made if holds(self.given, decision)):
                self.runtime.progress.say(f"plan: {line}")

    @property
    def adapted(self) -> Context:
        """The same with the settings that the plan holds by now."""
        return replace(self, config=adapted(self.given, self.work.plan()))

    @property
    def training_images(self) -> tuple[TaggedImage, ...]:
        return self.collection.split(self.split)

    @property
    def target_images(self) -> tuple[TaggedImage, ...]:
        """The training images and, with their tags, those of the evaluation splits; each once."""
        return self.collection.targets(self.split)

    @property
    def unseen_images(self) -> tuple[TaggedImage, ...]:
        """The images that the segmentation network is measured on; see :meth:`Collection.unseen`."""
        return self.collection.unseen(self.split)

    def image(self, record: TaggedImage) -> np.ndarray:
        """Return an image uint8 [H, W, 3] at the size it is labelled at: at most ``longest_side`` long."""
        return reduced(load_tagged(record), self.config.longest_side)

    def fit(self, network: str, model: nn.Module, samples: TrainingSamples, loss: Loss, config: TrainConfig) -> None:
        """Train a network of the work folder; see :func:`affinitynet.training.loop.fit`."""
        files = TrainingFiles(f"train-{network}", self.work.checkpoint(network), self.work.losses(network))
        fit(model, samples, loss, config, files, self.runtime, self.config.seed)

    @property
    def _values(self) -> dict[str, Any]:
        """How images of more than 8 bits were read, for those that a network will see later; nothing without any."""
        values = self.work.values()
        return {} if values is None else {VALUES: values.settings}

    def finish_training(self, network: str, model: Any) -> None:
        """Write a trained network with its ``settings``, and forget how far its training had come."""
        if self.runtime.processes.first:
            settings = model.settings | self._values
            save_weights(self.work.weights(network), model.state_dict(), settings)
            self.work.checkpoint(network).unlink(missing_ok=True)


def label_images(
    context: Context,
    artifacts: Artifacts[Record],
    label: str,
    make: Callable[[TaggedImage], Record],
    images: Sequence[TaggedImage] | None = None,
) -> None:
    """Save what ``make`` returns for each of this process's images that has no such artifact yet.

    Args:
        images: by default the target images.
    """
    records = context.runtime.processes.share(context.target_images if images is None else images)
    missing = [record for record in records if record.name not in artifacts]
    context.runtime.for_each_image(
        label, lambda record: artifacts.save(record.name, make(record)), missing, total=len(records)
    )


def check_classes(flag: str, path: Path, trained_on: Sequence[str], classes: Sequence[str]) -> None:
    """Raise unless a network that was trained elsewhere has the classes of the collection.

    Args:
        flag: that named its file.

    Raises:
        InputError: it has others.
    """
    if tuple(trained_on) != tuple(classes):
        raise InputError(
            f"{flag} {path}: was trained on {len(trained_on)} classes ({', '.join(trained_on)}), "
            f"the collection has {len(classes)} ({', '.join(classes)}); choose them with --classes"
        )


def start_backbone(context: Context) -> Backbone:
    """Return the backbone that training starts from, and say what a weight file gave it."""
    config = context.config
    if config.weights == RANDOM:
        return build_backbone(config.network, config.taps)
    weights = None if config.weights is None else Path(config.weights)
    backbone = pretrained_backbone(config.network, config.taps, weights)
    if backbone.loaded:
        context.runtime.progress.say(backbone.loaded)
    return backbone
