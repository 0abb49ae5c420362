"""The segmentation network's masks of the measured splits, made without the tags."""

from __future__ import annotations

from affinitynet.data.images import load_image
from affinitynet.files import save_mask
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline.context import Context


def segment(context: Context) -> None:
    """Write ``segmented/NAME.png`` of every image of the evaluation splits; the tags are not looked at."""
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.runtime.device)
    records = {r.name: r for split in context.collection.evaluation_splits for r in context.collection.split(split)}
    own = context.runtime.processes.share(list(records.values()))
    missing = [r for r in own if not context.work.artifact("segmented", r.name).exists()]
    context.runtime.for_each_image(
        "segment",
        lambda r: save_mask(context.work.artifact("segmented", r.name), predictor.predict(load_image(r.path))),
        missing,
        total=len(own),
    )
