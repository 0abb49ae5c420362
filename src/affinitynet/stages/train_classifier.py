"""Stage 1: tags -> classifier (paper, section 3.1; spec, stage 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affinitynet.data.images import load_image
from affinitynet.data.store import save_weights
from affinitynet.data.transforms import (
    jitter_colours,
    normalise,
    random_crop,
    random_flip,
    random_resize_long,
    to_tensor,
)
from affinitynet.engine import Sample, fit
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.stages.context import Context


def train_classifier(context: Context) -> None:
    """Train the tag classifier on the training split and write ``classifier.safetensors``."""
    config = context.config.classifier
    records = context.training_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = TagClassifier(context.config.network, context.dataset.classes)
    mean, std = model.backbone.mean, model.backbone.std
    shortest, longest = (round(config.crop_size * s) for s in (config.min_scale, config.max_scale))

    def sample(index: int) -> Sample:
        image = random_resize_long(load_image(records[index].path), shortest, longest)
        (flipped,) = random_flip(jitter_colours(to_tensor(image)))
        (cropped,) = random_crop(config.crop_size, normalise(flipped, mean, std))
        tags = torch.zeros(len(model.classes))
        tags[list(records[index].tags)] = 1
        return cropped, tags

    fit(
        model,
        sample,
        len(records),
        _loss,
        config,
        seed=context.config.seed,
        device=context.device,
        checkpoint=context.work.checkpoint("classifier"),
        losses=context.work.losses("classifier"),
        report=context.report,
        label="train-classifier",
    )
    save_weights(context.work.weights("classifier"), model.state_dict(), model.settings)
    context.work.checkpoint("classifier").unlink(missing_ok=True)


def _loss(model: nn.Module, batch: Sample) -> Tensor:
    images, tags = batch
    return tag_loss(model(images), tags)
