"""Confident seeds -> IRNet: class boundaries and displacements (docs/method.md, "IRNet")."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from affinitynet.config.trainings import IRNetConfig
from affinitynet.data.transforms import normalise, to_tensor
from affinitynet.inference.links import on_canvas
from affinitynet.models.irnet import IRNet
from affinitynet.ops.affinity import affinity_loss, pair_labels
from affinitynet.ops.boundaries import boundary_affinity, displacement_loss
from affinitynet.pipeline.context import Context, start_backbone
from affinitynet.pipeline.seed_samples import ScaledSeedSamples, seed_samples
from affinitynet.records import TaggedImage
from affinitynet.training.loop import MeanCount
from affinitynet.training.samples import Sample

LOOKED_AT = 200
"""Training images whose displacements are averaged."""


def train_irnet(context: Context) -> None:
    """Train IRNet on the seeds of the training split and write ``irnet.safetensors``."""
    config = context.config.irnet
    model = IRNet.load(Path(config.trained)) if config.trained else _train(context)
    context.finish_training("irnet", model)


def _train(context: Context) -> IRNet:
    config = context.config.irnet
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = IRNet(start_backbone(context))
    samples = seed_samples(ScaledSeedSamples, context, config, model.stride, model.backbone)
    context.fit("irnet", model, samples, partial(irnet_loss, config), config)
    if context.runtime.processes.first:
        model.mean_displacement.copy_(_mean_displacement(context, model))
    return model


def _mean_displacement(context: Context, model: IRNet) -> Tensor:
    """Return the mean of the displacements [2] over some training images, which are drawn from it later.

    Each is seen whole, or its first ``crop_size`` pixels, on a canvas of that size.
    """
    size, device, backbone = context.config.irnet.crop_size, context.runtime.device, model.backbone
    step = -(-len(context.training_images) // LOOKED_AT)
    images = context.training_images[::step]
    found: dict[str, Tensor] = {}

    def look(record: TaggedImage) -> None:
        image = to_tensor(context.image(record))[:, :size, :size]
        x = on_canvas(normalise(image, backbone.mean, backbone.std)[None], size)
        with torch.inference_mode():
            found[record.name] = model(x.to(device))[1].double().mean((0, 2, 3)).cpu()

    context.runtime.for_each_image("train-irnet: displacements", look, images)
    return torch.stack([found[record.name] for record in images]).mean(0).float()


def irnet_loss(config: IRNetConfig, model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    """Return the loss of a batch of :class:`ScaledSeedSamples` (docs/method.md, "IRNet")."""
    images, labels = batch
    edge, displacement = model(images)
    background, foreground, negative = pair_labels(labels, config.radius, config.border)
    affinity = boundary_affinity(edge.sigmoid(), config.radius, config.border)
    return affinity_loss(affinity, background, foreground, negative, mean_count) + displacement_loss(
        displacement, background, foreground, config.radius, config.border, mean_count
    )
