"""Classifier -> multi-scale class activation maps (docs/method.md, "Class activation maps"); or another method's."""

from __future__ import annotations

from pathlib import Path

import torch

from affinitynet.data.activation_maps import Notes, find_maps, read_score_maps
from affinitynet.data.images import image_size
from affinitynet.data.transforms import reduced_size
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.classifier import load_classifier
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import ScoreMaps, TaggedImage


def make_cams(context: Context) -> None:
    """Write the class activation maps of every target image: the classifier's, or those of ``cams.from_folder``."""
    if context.config.cams.from_folder is not None:
        _take_cams(context, Path(context.config.cams.from_folder))
        return
    classifier = load_classifier(context.work.weights("classifier"))
    predictor = MaskPredictor(classifier, None, context.config, context.runtime.device)

    def make(record: TaggedImage) -> ScoreMaps:
        return predictor.cams(context.image(record), record.tags)

    label_images(context, context.work.cams, "make-cams", make)


def _take_cams(context: Context, folder: Path) -> None:
    """Read the maps of another method, and say once what was read tolerantly."""
    files, notes, classes = find_maps(folder, context.target_images), Notes(), context.collection.classes

    def make(record: TaggedImage) -> ScoreMaps:
        size = reduced_size(image_size(record.path), context.config.longest_side)
        if record.name not in files:
            return ScoreMaps((), torch.zeros(0, *size))
        return read_score_maps(files[record.name], record.tags, classes, size, notes)

    label_images(context, context.work.cams, "make-cams", make)
    for line in notes.lines():
        context.runtime.progress.say(f"make-cams: {line}")
