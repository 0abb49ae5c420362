"""What limits a collection's masks, computed from what was measured on the way."""

from __future__ import annotations

from collections.abc import Iterator

from affinitynet.data.facts import CollectionFacts, read_facts
from affinitynet.files import write_text
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.kept_tags import Added, count_added
from affinitynet.work.learnt import ENOUGH, LEARNT, PARTLY, Learnt, read_learnt
from affinitynet.work.metrics import CAM, CAM_CRF, MASKS, WALK, WALK_CRF, Metrics

USUAL_IMAGES = 100
"""Images of a class from which more of them helped little on the collections that this was measured on."""

FEW_NEGATIVES = 0.1
"""Share of training images without a class below which nothing tells the class from what always surrounds it."""

TINY = 24
"""Diameter in pixels of a piece that covers three places: smaller ones are guessed more than seen."""

TOGETHER = 0.5
"""Share of a class's images that also show another one, from which the two are hard to tell apart."""

MANY_ADDED = 0.1
"""Share of the tagged images whose masks lacked a class, from which it is worth a line."""

WORSE = 0.02
"""IoU that masks may lose against a step before them without a line; ours, not measured."""

BEFORE = (CAM, CAM_CRF, WALK, WALK_CRF)
"""The steps before the masks that are decided without ground truth."""

LINES = 8
"""Most lines about the collection, so that they fit a screen."""

NAMED = 5
"""Classes that a line names."""


def advice(facts: CollectionFacts, learnt: Learnt, added: Added) -> list[str]:
    """Return what would help most, a line each, the most pressing first.

    Args:
        facts: of the collection.
        learnt: what the classifier knows of each class.
        added: how many images have a class in their mask that was not sure enough.

    Example:
        >>> from affinitynet.data.facts import ClassFacts
        >>> from affinitynet.work.learnt import ClassLearnt
        >>> facts = CollectionFacts(training_images=60, classes=(ClassFacts("rust", 40),))
        >>> learnt = Learnt((ClassLearnt("rust", 34, 6, 0.5, 0.4, share=0.01, size=90.0),), "local")
        >>> advice(facts, learnt, Added(0, 40, "added.csv"))
        ['rust: not learnt from 40 images; tag about 60 more, and look for wrong tags with `affinitynet audit-tags`']
    """
    lines = [
        *_unlearnt(facts, learnt),
        *_pairs(facts),
        *_negatives(facts),
        *_small(learnt),
    ]
    if added.images > MANY_ADDED * added.tagged:
        lines.append(
            f"in {added.images} of {added.tagged} tagged images a class was not sure enough anywhere to be in the "
            f"mask, so its strongest place was taken: look at these first ({added.table})"
        )
    return lines[:LINES]


def worse(metrics: Metrics) -> list[str]:
    """Return a line for each split with masks that are worse than a step before them, on the whole or in a class.

    Example:
        >>> import numpy as np
        >>> from affinitynet.work.metrics import StepMetrics
        >>> good, poor = (StepMetrics.of(np.array([[9, 0], [n, 9 - n]]), ["rust"], images=1) for n in (1, 5))
        >>> worse({"val": {"CAM": good, "masks": poor}})
        ['val: the masks (mIoU 54%) are worse than CAM (89%): compare both with `affinitynet report`']
    """
    lines = []
    for split, steps in metrics.items():
        masks, before = steps.get(MASKS), {step: steps[step] for step in BEFORE if step in steps}
        if masks is None or not before or not masks.tells:
            continue
        best = max(before, key=lambda step: before[step].miou)
        if before[best].miou > masks.miou + WORSE:
            lines.append(
                f"{split}: the masks (mIoU {masks.miou:.0%}) are worse than {best} ({before[best].miou:.0%}): compare "
                "both with `affinitynet report`"
            )
            continue
        classes = list(masks.iou)[1:]
        top = {name: max(before, key=lambda step: before[step].iou[name]) for name in classes}
        lost = [name for name in classes if before[top[name]].iou[name] > masks.iou[name] + WORSE]
        if lost:
            each = [
                f"{name} (IoU {masks.iou[name]:.0%}, {top[name]} {before[top[name]].iou[name]:.0%})"
                for name in lost[:NAMED]
            ]
            more = f" and {len(lost) - NAMED} more classes" if len(lost) > NAMED else ""
            lines.append(
                f"{split}: masks that are worse than a step before them, though not on the whole: {', '.join(each)}"
                f"{more}; correct some training images with `affinitynet review`, then `affinitynet run --force`"
            )
    return lines


def say_advice(context: Context, metrics: Metrics) -> None:
    """Say what limits the collection, and keep it in ``advice.txt``; nothing where nothing stands out.

    Args:
        metrics: how good each step is, as far as there is ground truth.
    """
    unseen = {record.name for record in context.unseen_images}
    lines = worse(
        {
            split: steps
            for split, steps in metrics.items()
            if any(record.name in unseen for record in context.collection.split(split))
        }
    )
    facts, learnt = read_facts(context.work.collection_file), read_learnt(context.work.classifier_file)
    if facts is not None and learnt is not None:
        lines += advice(facts, learnt, count_added(context))
    if lines:
        write_text(context.work.advice_file, "".join(f"{line}\n" for line in lines))
    for line in lines:
        context.runtime.progress.say(f"advice: {line}")


def _unlearnt(facts: CollectionFacts, learnt: Learnt) -> Iterator[str]:
    counts = {found.name: found.images for found in facts.classes}
    poor = [found for found in learnt.classes if found.skill < LEARNT and counts.get(found.name)]
    for found in sorted(poor, key=lambda found: found.skill):
        count = counts[found.name]
        how = "not learnt" if found.skill < PARTLY else "only partly learnt"
        if count < USUAL_IMAGES:
            yield (
                f"{found.name}: {how} from {count} images; tag about {USUAL_IMAGES - count} more, and look for wrong "
                "tags with `affinitynet audit-tags`"
            )
        else:
            yield (
                f"{found.name}: {how} from {count} images; look for wrong tags with `affinitynet audit-tags`, and for "
                "something else that its images share"
            )
    unknown = [found.name for found in learnt.classes if found.precision is None and counts.get(found.name)]
    if unknown:
        yield (
            f"{', '.join(unknown[:NAMED])}: too few images were held out to know if they were learnt; tag {ENOUGH} "
            "and more, or hold out more (--classifier.hold-out)"
        )


def _pairs(facts: CollectionFacts) -> Iterator[str]:
    counts = {found.name: found.images for found in facts.classes}
    for pair in facts.pairs:
        fewer = min(counts.get(pair.first, 0), counts.get(pair.second, 0))
        if fewer and pair.images >= TOGETHER * fewer:
            yield (
                f"{pair.first} and {pair.second} come together in {pair.images} of {fewer} images, which says little "
                "about which is which: add images of one without the other"
            )


def _negatives(facts: CollectionFacts) -> Iterator[str]:
    for found in facts.classes:
        without = facts.training_images - found.images
        if found.images and without < FEW_NEGATIVES * facts.training_images:
            yield (
                f"{found.name}: only {without} of {facts.training_images} images are without it; add images of the "
                "same places without it, untagged"
            )


def _small(learnt: Learnt) -> Iterator[str]:
    for found in learnt.classes:
        if found.size is not None and found.size < TINY:
            yield (
                f"{found.name}: its pieces are about {found.size:.0f} pixels wide, fewer than can be seen well; give "
                "images of a higher resolution, or cut them into parts"
            )
