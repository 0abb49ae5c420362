"""Classifier -> multi-scale class activation maps (docs/method.md, "Class activation maps")."""

from __future__ import annotations

from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.classifier import TagClassifier
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import ScoreMaps, TaggedImage


def make_cams(context: Context) -> None:
    """Write the class activation maps of every target image."""
    classifier = TagClassifier.load(context.work.weights("classifier"))
    predictor = MaskPredictor(classifier, None, context.config, context.runtime.device)

    def make(record: TaggedImage) -> ScoreMaps:
        return predictor.cams(context.image(record), record.tags)

    label_images(context, context.work.cams, "make-cams", make)
