"""Confident seeds -> AffinityNet (paper, section 3.2; docs/method.md, "AffinityNet")."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from affinitynet.config.trainings import AffinityConfig
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.classifier import load_classifier
from affinitynet.ops.affinity import affinity_loss, pair_affinity, pair_labels
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.pipeline.seed_samples import SeedSamples, seed_samples
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample


def train_affinity(context: Context) -> None:
    """Train AffinityNet on the seeds of the training split and write ``affinity.safetensors``."""
    config = context.config.affinity
    model = AffinityNet.load(Path(config.trained)) if config.trained else _train(context)
    context.finish_training("affinity", model)


def _train(context: Context) -> AffinityNet:
    config, model = context.config.affinity, new_affinity_net(context)
    samples = seed_samples(SeedSamples, context, config, model.stride, model.backbone)
    context.fit("affinity", model, samples, partial(affinity_net_loss, config), config)
    return model


def new_affinity_net(context: Context) -> AffinityNet:
    """Return an AffinityNet before its training, with what it does not learn frozen."""
    config = context.config.affinity
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        if config.start == "classifier":
            backbone = load_classifier(context.work.weights("classifier")).backbone
        else:
            backbone = start_backbone(context)
        model = AffinityNet(backbone)
    if config.freeze_backbone:
        backbone.requires_grad_(False)
    return model


def affinity_net_loss(config: AffinityConfig, model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    """Return the loss of a batch of :class:`SeedSamples` (docs/method.md, "AffinityNet")."""
    images, labels = batch
    affinity = pair_affinity(model(images), config.radius, config.border)
    return affinity_loss(affinity, *pair_labels(labels, config.radius, config.border), mean_count)
