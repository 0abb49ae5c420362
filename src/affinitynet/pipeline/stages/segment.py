"""The segmentation network's masks of the measured splits, made without the tags."""

from __future__ import annotations

from affinitynet.data.images import load_tagged
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline.context import Context


def segment(context: Context) -> None:
    """Write ``segmented/NAME.png`` of every image of the evaluation splits; the tags are not looked at."""
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.runtime.device)
    own = context.runtime.processes.share(context.collection.measured())
    segmented = context.work.segmented
    missing = [record for record in own if record.name not in segmented]
    context.runtime.for_each_image(
        "segment",
        lambda record: segmented.save(record.name, predictor.predict(load_tagged(record))),
        missing,
        total=len(own),
    )
