"""How well objects are told apart: AP50 and AP75 of their boxes, beside connected pieces of the same masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from affinitynet.errors import InputError
from affinitynet.files import write_json
from affinitynet.inference.objects import split_mask
from affinitynet.ops.detection import Comparison, box_overlaps, boxes_of, mean_average_precision
from affinitynet.pipeline.context import Context
from affinitynet.records import Box, Instances, TaggedImage

OBJECTS, PIECES = "objects", "connected pieces of the masks"
AT = {"AP50": 0.5, "AP75": 0.75}
"""Name -> overlap with a box from which an object counts as found."""


def measure_objects(context: Context) -> None:
    """Write ``objects.json`` (split -> step -> numbers), and say it, where images have boxes and objects."""
    found = {split: steps for split in context.collection.evaluation_splits if (steps := _measure(context, split))}
    if not found:
        return
    write_json(context.work.objects_file, found)
    for split, steps in found.items():
        each = (f"{step} {' / '.join(f'{100 * numbers[name]:.1f}' for name in AT)}" for step, numbers in steps.items())
        context.runtime.progress.say(f"evaluate: {split}: AP50 / AP75 of boxes, %: {', '.join(each)}")


def _measure(context: Context, split: str) -> dict[str, dict]:
    records = [r for r in context.collection.split(split) if r.boxes and r.name in context.work.instances]
    compared: dict[str, dict[str, Comparison]] = {OBJECTS: {}, PIECES: {}}

    def compare(record: TaggedImage) -> None:
        try:
            true = record.boxes.boxes() if record.boxes else ()
        except InputError as error:
            context.runtime.progress.note(f"evaluate: {record.name}: not among the boxes: {error}")
            return
        if record.tags and not true:
            return  # objects are named, but not where they are
        found = context.work.instances.load(record.name)
        pieces = split_mask(context.work.masks.load(record.name), context.work.cams.load(record.name))
        for step, objects in ((OBJECTS, found), (PIECES, pieces)):
            compared[step][record.name] = _comparison(objects, true, context.collection.classes)

    context.runtime.for_each_image(f"evaluate {split}: objects", compare, records)
    if not compared[OBJECTS]:
        return {}
    return {step: _numbers(context, [images[name] for name in sorted(images)]) for step, images in compared.items()}


def _numbers(context: Context, images: list[Comparison]) -> dict:
    classes = context.collection.classes
    numbers: dict = {"images": len(images)}
    for name, overlap in AT.items():
        mean, each = mean_average_precision(images, len(classes), overlap)
        numbers[name] = mean
        numbers[f"{name} of each class"] = dict(zip(classes, each.tolist(), strict=True))
    return numbers


def _comparison(found: Instances, true: tuple[Box, ...], classes: tuple[str, ...]) -> Comparison:
    known: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    true = tuple(box for box in true if box.name in known)
    boxes = np.array([(box.left, box.top, box.right, box.bottom) for box in true], np.float64).reshape(-1, 4)
    return Comparison(
        np.array(found.classes, np.int64),
        np.array(found.scores, np.float64),
        np.array([known[box.name] for box in true], np.int64),
        box_overlaps(boxes_of(found.labels), boxes),
        np.array([box.difficult for box in true], bool),
    )
