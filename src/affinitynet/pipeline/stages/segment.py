"""The segmentation network's masks of images that it has not learnt from, made without the tags."""

from __future__ import annotations

from affinitynet.data.images import load_tagged
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline.context import Context


def segment(context: Context) -> None:
    """Write ``segmented/NAME.png`` of images with ground truth; their tags are not looked at.

    Of those that the network learnt from only if there are no others: what it says of them is not what it will say of
    new ones, and they have masks made with the tags.
    """
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.runtime.device)
    own = context.runtime.processes.share(context.unseen_images)
    segmented = context.work.segmented
    missing = [record for record in own if record.name not in segmented]
    context.runtime.for_each_image(
        "segment",
        lambda record: segmented.save(record.name, predictor.predict(load_tagged(record))),
        missing,
        total=len(own),
    )
    if context.runtime.processes.first and not context.config.segmenter.trained:
        _say_what_is_left_out(context)


def _say_what_is_left_out(context: Context) -> None:
    learnt = {record.name for record in context.training_images}
    if any(record.name in learnt for record in context.unseen_images):
        context.runtime.progress.say(
            "segment: the network has learnt from all images with ground truth, and may be worse on new ones"
        )
        return
    known = [
        split
        for split in context.collection.evaluation_splits
        if all(record.name in learnt for record in context.collection.split(split))
    ]
    if known:
        context.runtime.progress.say(
            f"segment: {' and '.join(known)} left out, since the network has learnt from these images"
        )
