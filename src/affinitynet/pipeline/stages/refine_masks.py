"""The masks as the segmentation network sees them, which has learnt from all images and is told the tags of each."""

from __future__ import annotations

import numpy as np

from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import NOT_FOUND, Segmenter
from affinitynet.pipeline import kept_tags
from affinitynet.pipeline.context import Context, label_images
from affinitynet.pipeline.doubts import note_doubt, order_doubts
from affinitynet.pipeline.relabel import relabel
from affinitynet.records import TaggedImage
from affinitynet.work.rows import append_rows


def refine_masks(context: Context) -> None:
    """Write the mask of every target image anew; ``first_masks`` keeps the one before.

    An image tagged with a class that the network does not find keeps its first mask. Without ``refine.masks`` all do.

    Writes ``added_refined.csv``: the tagged classes of which such a mask had no pixel; and ``doubts_refined.csv``: how
    doubtful it is, and how much it differs from the first one.
    """
    if not context.config.refine.masks:
        _restore(context)
        return
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.runtime.device)

    table, before = context.work.added_refined_file, kept_tags.noted(context.work.added_file)

    def make(record: TaggedImage) -> np.ndarray:
        if model.finds(record.tags):
            mask, scores = relabel(context, predictor, record, context.config.refine.crf, table)
            first = context.work.first_masks.load(record.name)
            note_doubt(context.work.doubts_refined_file, record.name, scores, mask, first)
        else:
            mask = context.work.first_masks.load(record.name)
            append_rows(before.get(record.name, ()), table)
        context.work.masks.save(record.name, mask)
        return mask

    label_images(context, context.work.refined, "refine-masks", make)
    context.runtime.processes.wait()
    if context.runtime.processes.first:
        same = sum(not model.finds(record.tags) for record in context.target_images)
        if same:
            context.runtime.progress.say(
                f"refine-masks: {same} of {len(context.target_images)} images keep the masks that the network learnt "
                f"from, since it does not find {' and '.join(model.settings[NOT_FOUND])}"
            )
        kept_tags.report(context, "refine-masks", table)
        order_doubts(context.work.doubts_refined_file)


def _restore(context: Context) -> None:
    """Give every image of this process its first mask."""
    work, runtime = context.work, context.runtime
    for record in runtime.processes.share(context.target_images):
        mask = work.first_masks.load(record.name)
        if not np.array_equal(mask, work.masks.load(record.name)):
            work.masks.save(record.name, mask)
    if runtime.processes.first:
        runtime.progress.say(
            "refine-masks: the masks are those that the network learnt from, since refine.masks is false"
        )
