"""The decision that turns walked scores into masks.

The walk is kept, so that masks of another background strength or threshold are made at once.
"""

from __future__ import annotations

import numpy as np
import torch

from affinitynet.data.images import image_size
from affinitynet.files import load_arrays, save_mask
from affinitynet.inference.tagged import MaskPredictor, Walk
from affinitynet.ops.decision import decide
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import TaggedImage


def make_masks(context: Context) -> None:
    """Write ``masks/NAME.png`` of every labelled image from its kept walk."""
    predictor = MaskPredictor(None, None, context.config, context.runtime.device)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        classes, walk = load_walk(context, record.name)
        scores = predictor.full_scores(image, walk, context.config.masks)
        save_mask(context.work.artifact("masks", record.name), decide(scores, classes, image_size(record.path)))

    label_images(context, "masks", "make-masks", make)


def load_walk(context: Context, name: str) -> tuple[list[int], Walk]:
    """Read an image's classes and its walked scores as float32."""
    arrays = load_arrays(context.work.artifact("walks", name))
    background, scores = (
        torch.from_numpy(arrays[key].astype(np.float32)).to(context.runtime.device) for key in ("background", "scores")
    )
    return arrays["classes"].tolist(), Walk(tuple(arrays["alphas"].tolist()), background, scores)
