"""Stage 2: classifier -> multi-scale class activation maps (spec, stage 2)."""

from __future__ import annotations

import numpy as np

from affinitynet.files import save_arrays
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.classifier import TagClassifier
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import TaggedImage


def make_cams(context: Context) -> None:
    """Write ``cams/NAME.npz`` (classes int64 [K], scores float16 [K, H, W]) of every labelled image."""
    classifier = TagClassifier.load(context.work.weights("classifier"))
    predictor = MaskPredictor(classifier, None, context.config, context.runtime.device)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        cams = predictor.cams(image, record.tags).half().cpu().numpy()
        path = context.work.artifact("cams", record.name)
        save_arrays(path, classes=np.array(record.tags, np.int64), scores=cams)

    label_images(context, "cams", "make-cams", make)
