"""The masks as the segmentation network sees them, which has learnt from all images and is told the tags of each."""

from __future__ import annotations

import numpy as np

from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline import kept_tags
from affinitynet.pipeline.context import Context, label_images
from affinitynet.pipeline.relabel import relabel
from affinitynet.records import TaggedImage


def refine_masks(context: Context) -> None:
    """Write the mask of every target image anew; ``first_masks`` keeps the one before.

    Writes ``added_refined.csv``: the tagged classes of which such a mask had no pixel.
    """
    if not context.config.masks.refine:
        context.runtime.progress.note("refine-masks: left out, since masks.refine is false")
        return
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.runtime.device, context.config.crf)

    def make(record: TaggedImage) -> np.ndarray:
        mask = relabel(context, predictor, record, context.work.added_refined_file)
        context.work.masks.save(record.name, mask)
        return mask

    label_images(context, context.work.refined, "refine-masks", make)
    context.runtime.processes.wait()
    if context.runtime.processes.first:
        kept_tags.report(context, "refine-masks", context.work.added_refined_file)
