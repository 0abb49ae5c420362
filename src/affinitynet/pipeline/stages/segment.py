"""The segmentation network's masks of the measured splits, made without the tags."""

from __future__ import annotations

from affinitynet.data.images import load_image
from affinitynet.files import save_mask
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline.context import Context
from affinitynet.runtime.parallel import for_each_image


def segment(context: Context) -> None:
    """Write ``segmented/NAME.png`` of every image of the evaluation splits; the tags are not looked at."""
    model = Segmenter.load(context.work.weights("segmenter"))
    predictor = SegmentationPredictor(model, context.config.predict, context.device)
    records = {r.name: r for split in context.collection.evaluation_splits for r in context.collection.split(split)}
    own = context.processes.share(list(records.values()))
    missing = [r for r in own if not context.work.artifact("segmented", r.name).exists()]
    for_each_image(
        lambda r: save_mask(context.work.artifact("segmented", r.name), predictor.predict(load_image(r.path))),
        missing,
        total=len(own),
        workers=context.workers,
        report=context.report,
        label="segment",
    )
