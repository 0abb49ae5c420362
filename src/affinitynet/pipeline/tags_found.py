"""Does the segmentation network, without the tags, find what images are tagged with?"""

from __future__ import annotations

import numpy as np

from affinitynet.data.images import load_tagged
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.pipeline.context import Context
from affinitynet.records import TaggedImage
from affinitynet.training.holdout import some_of_each_class

OF_A_CLASS, IN_ALL = 10, 60
"""Training images that are looked at: of each class, and together; a quarter of a second each."""

ENOUGH = 0.5
"""Share of the images with a tag in which the class has to be found for nothing to be said."""


def not_found(context: Context, model: Segmenter) -> list[str]:
    """Return, and say, of which classes the network finds no pixel in most of the training images tagged with them."""
    looked_at = some_of_each_class(context.training_images, OF_A_CLASS, IN_ALL, context.config.seed)
    predictor = SegmentationPredictor(model, context.config.predict.once(), context.runtime.device)
    tagged, found = np.zeros(len(model.classes), int), np.zeros(len(model.classes), int)
    present: dict[str, set[int]] = {}

    def look(record: TaggedImage) -> None:
        present[record.name] = set(np.unique(predictor.predict(load_tagged(record))).tolist())

    context.runtime.for_each_image("train-segmenter: looking", look, looked_at)
    for record in looked_at:
        for number in record.tags:
            tagged[number] += 1
            found[number] += number + 1 in present[record.name]
    missed = []
    for name, count, seen in zip(model.classes, tagged.tolist(), found.tolist(), strict=True):
        if count and seen < ENOUGH * count:
            missed.append(name)
            context.runtime.progress.say(
                f"train-segmenter: without the tags the network finds {name} in {seen} of {count} images that have it: "
                "do not rely on `predict` for it; the masks of tagged images are another matter"
            )
    return missed
