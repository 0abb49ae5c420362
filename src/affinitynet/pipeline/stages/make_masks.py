"""The decision that turns walked scores into masks.

The walk is kept, so that masks of another background strength or threshold are made at once.
"""

from __future__ import annotations

import numpy as np

from affinitynet.data.images import image_size
from affinitynet.data.transforms import reduced_size
from affinitynet.inference.refine import mask_scores
from affinitynet.ops.decision import decide
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import TaggedImage


def make_masks(context: Context) -> None:
    """Write the mask of every target image, from its kept walk."""
    config = context.config

    def make(record: TaggedImage) -> np.ndarray:
        walk, size = context.work.walks.load(record.name), image_size(record.path)
        labelled_at = reduced_size(size, config.longest_side)
        scores = mask_scores(walk, labelled_at, config.masks, config.crf, lambda: context.image(record))
        return decide(scores, walk.classes, size)

    label_images(context, context.work.masks, "make-masks", make)
