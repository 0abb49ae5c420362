"""The decision that turns the scores of a step into the first masks.

The scores are kept, so that masks of another background strength or threshold are made at once.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from affinitynet.config.adaptation import given
from affinitynet.data.images import image_size
from affinitynet.data.transforms import reduced_size
from affinitynet.inference.refine import map_scores, mask_scores
from affinitynet.ops.decision import decide
from affinitynet.pipeline import kept_tags
from affinitynet.pipeline.context import Context, label_images
from affinitynet.pipeline.doubts import note_doubt, order_doubts
from affinitynet.pipeline.drawn import with_drawn
from affinitynet.records import TaggedImage


def make_masks(context: Context) -> None:
    """Write the first mask of every target image, from the step that ``masks.source`` names.

    Writes ``added.csv``: the tagged classes of which a mask had no pixel; and ``doubts.csv``: how doubtful each is.
    """
    work = context.work

    def make(record: TaggedImage) -> np.ndarray:
        scores = _scores(context, record)
        mask = decide(scores, record.tags, image_size(record.path))
        mask = kept_tags.kept(context, record, mask, work.cams.load(record.name), work.added_file)
        note_doubt(work.doubts_file, record.name, scores, mask)
        return with_drawn(context, record, mask)

    def final(record: TaggedImage) -> np.ndarray:
        return (work.refined if record.name in work.refined else work.first_masks).load(record.name)

    label_images(context, work.first_masks, "make-masks", make)
    label_images(context, work.masks, "make-masks", final)
    context.runtime.processes.wait()
    if context.runtime.processes.first:
        kept_tags.report(context, "make-masks", work.added_file)
        order_doubts(work.doubts_file)


def _scores(context: Context, record: TaggedImage) -> Tensor:
    """Return the scores that an image's mask is decided from, [K + 1, h, w]."""
    work, config = context.work, context.config
    if config.masks.source == "crf":
        return work.seeds.load(record.name).low
    if config.masks.source == "cams":
        return map_scores(work.cams.load(record.name), given(config.seeds.low_alpha))
    labelled_at = reduced_size(image_size(record.path), config.longest_side)
    walk = work.walks.load(record.name)
    return mask_scores(walk, labelled_at, config.masks, config.crf, lambda: context.image(record))
