"""Class activation maps -> confident seeds by the dense CRF (docs/method.md, "Confident seeds")."""

from __future__ import annotations

import torch

from affinitynet.config.adaptation import given, seed_crf
from affinitynet.ops.seeds import confident_seeds
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import Seeds, TaggedImage


def make_seeds(context: Context) -> None:
    """Write the dense CRF's scores of every target image, at the low and at the high background strength."""
    alphas = given(context.config.seeds.low_alpha), given(context.config.seeds.high_alpha)
    device, params = context.runtime.device, seed_crf(context.config)

    def make(record: TaggedImage) -> Seeds:
        cams = context.work.cams.load(record.name)
        pixels = torch.from_numpy(context.image(record).copy()).to(device)
        return Seeds(cams.classes, *confident_seeds(pixels, cams.scores.to(device), alphas, params))

    label_images(context, context.work.seeds, "make-seeds", make)
