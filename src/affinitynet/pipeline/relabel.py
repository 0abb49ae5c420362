"""Self-training: what the segmentation network finds in an image whose tags are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from affinitynet.data.images import image_size
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.ops.decision import decide
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.drawn import with_drawn
from affinitynet.pipeline.kept_tags import kept
from affinitynet.records import ScoreMaps, TaggedImage


def relabel(
    context: Context, predictor: SegmentationPredictor, record: TaggedImage, crf: bool = True, table: Path | None = None
) -> tuple[np.ndarray, Tensor]:
    """Return the mask uint8 [H, W] of the tagged classes, and of what somebody drew, and the scores [K + 1, h, w].

    Args:
        crf: refine it by the dense CRF.
        table: where to note which classes had no pixel.
    """
    scores = predictor.tagged_scores(context.image(record), record.tags, crf)
    mask = decide(scores, record.tags, image_size(record.path))
    mask = kept(context, record, mask, ScoreMaps(record.tags, scores[1:]), table)
    return with_drawn(context, record, mask), scores
