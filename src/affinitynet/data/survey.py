"""From what single images are like to what a collection is like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

from affinitynet.data.collection import Collection
from affinitynet.data.facts import (
    Cases,
    ClassFacts,
    CollectionFacts,
    ImageSizes,
    MaskFacts,
    Pair,
    SplitFacts,
)
from affinitynet.data.image_facts import ImageFacts
from affinitynet.errors import LeftOut, Remark
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage

SMALL, LARGE = 64, 4096  # pixels of a side


def survey(
    collection: Collection,
    split: str,
    images: Mapping[str, ImageFacts],
    left_out: Sequence[LeftOut] = (),
    remarks: Sequence[Remark] = (),
) -> CollectionFacts:
    """Return what is known of a collection.

    Args:
        collection: without what cannot be used.
        split: name of the split that is trained on.
        images: artifact name -> what the image is like, of each image that was read.
        left_out: what cannot be used.
        remarks: what was read tolerantly and what looks wrong, besides that of the collection.
    """
    read = [record for record in collection.targets(split) if record.name in images]
    training = collection.split(split)
    trained = {record.name for record in training}
    painted = [(record, dict(labels)) for record in read if (labels := images[record.name].labels) is not None]
    masked = [(record, labels) for record, labels in painted if record.truth]
    drawn = [(record, labels) for record, labels in painted if record.drawn]
    flat = {record.name for record in read if images[record.name].flat}
    repeated, leaked, contradicted = _repeats([r for r in read if r.name not in flat], images, trained)
    return CollectionFacts(
        folder=str(collection.root),
        layout=collection.layout,
        split=split,
        splits=_splits(collection, split, trained),
        classes=_classes(
            collection, training, [record for record in read if record.name not in trained], masked, drawn
        ),
        images=len(read),
        training_images=len(training),
        negatives=sum(not record.tags for record in training),
        pairs=_pairs(collection.classes, training),
        kinds=dict(Counter(images[record.name].kind for record in read).most_common()),
        sizes=_sizes(read, images),
        masks=_masks(collection.classes, masked),
        drawn=len(drawn),
        flat=Cases.of(record.name for record in read if record.name in flat),
        repeated=Cases.of(repeated),
        leaked=Cases.of(leaked),
        contradicted=Cases.of(contradicted),
        passed_over=_grouped(
            (passed.reason, _below(collection.root, passed.path)) for passed in collection.passed_over
        ),
        skipped=_grouped((left.part, left.name) for left in left_out),
        remarks=(*collection.remarks, *remarks),
    )


def _splits(collection: Collection, split: str, trained: set[str]) -> tuple[SplitFacts, ...]:
    return tuple(
        SplitFacts(
            name,
            images=len(records),
            masks=sum(record.truth is not None for record in records),
            trained=name == split,
            measured=name in collection.evaluation_splits,
            shared=sum(record.name in trained for record in records),
        )
        for name, records in collection.splits.items()
    )


def _classes(
    collection: Collection,
    training: Iterable[TaggedImage],
    elsewhere: Iterable[TaggedImage],
    masked: Sequence[tuple[TaggedImage, dict[int, int]]],
    drawn: Sequence[tuple[TaggedImage, dict[int, int]]],
) -> tuple[ClassFacts, ...]:
    tagged, measured = (Counter(tag for record in records for tag in record.tags) for records in (training, elsewhere))
    shares: dict[int, list[float]] = {}
    pixels: Counter[int] = Counter()
    for _, labels in masked:
        area = sum(labels.values())
        for value in labels.keys() - {BACKGROUND, IGNORE}:
            pixels[value - 1] += labels[value]
            shares.setdefault(value - 1, []).append(labels[value] / area)
    return tuple(
        ClassFacts(
            name,
            images=tagged[number],
            measured=measured[number],
            masks=len(shares.get(number, ())),
            pixels=pixels[number],
            share=round(median(shares.get(number, (0.0,))), 6),
            drawn=sum(number + 1 in labels for _, labels in drawn),
        )
        for number, name in enumerate(collection.classes)
    )


def _pairs(classes: Sequence[str], training: Iterable[TaggedImage]) -> tuple[Pair, ...]:
    found = Counter(pair for record in training for pair in combinations(record.tags, 2))
    return tuple(Pair(classes[first], classes[second], count) for (first, second), count in found.most_common())


def _sizes(read: Sequence[TaggedImage], images: Mapping[str, ImageFacts]) -> ImageSizes:
    ranked = sorted((images[record.name].size for record in read), key=lambda size: (size[0] * size[1], size))
    if not ranked:
        return ImageSizes()
    small = (record.name for record in read if min(images[record.name].size) < SMALL)
    large = (record.name for record in read if max(images[record.name].size) > LARGE)
    return ImageSizes(ranked[0], ranked[len(ranked) // 2], ranked[-1], Cases.of(small), Cases.of(large))


def _masks(classes: Sequence[str], masked: Sequence[tuple[TaggedImage, dict[int, int]]]) -> MaskFacts:
    unpainted, missing, untagged = [], [], []
    for record, labels in masked:
        painted, tags = {value - 1 for value in labels.keys() - {BACKGROUND, IGNORE}}, set(record.tags)
        if tags and not painted:
            unpainted.append(record.name)
        elif tags - painted:
            missing.append(f"{record.name} ({classes[min(tags - painted)]})")
        if painted - tags:
            untagged.append(f"{record.name} ({classes[min(painted - tags)]})")
    return MaskFacts(
        count=len(masked),
        background=sum(labels.get(BACKGROUND, 0) for _, labels in masked),
        ignored=sum(labels.get(IGNORE, 0) for _, labels in masked),
        ignoring=sum(IGNORE in labels for _, labels in masked),
        unpainted=Cases.of(unpainted),
        missing=Cases.of(missing),
        untagged=Cases.of(untagged),
    )


def _repeats(
    read: Sequence[TaggedImage], images: Mapping[str, ImageFacts], trained: set[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the images that repeat an earlier one, those measured that repeat one trained on, and contradictions.

    An image in several splits is one image.
    """
    groups: dict[bytes, list[TaggedImage]] = {}
    for record in read:
        groups.setdefault(images[record.name].digest, []).append(record)
    repeated, leaked, contradicted = [], [], []
    for group in groups.values():
        first, others = group[0], group[1:]
        repeated += [f"{other.name} and {first.name}" for other in others]
        contradicted += [f"{o.name} and {first.name}" for o in others if o.tags != first.tags]
        if first.name in trained:  # those that are trained on come first
            leaked += [f"{o.name} and {first.name}" for o in others if o.name not in trained]
    return repeated, leaked, contradicted


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _grouped(found: Iterable[tuple[str, str]]) -> tuple[Cases, ...]:
    """Count (reason, example) by reason, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for reason, example in found:
        groups.setdefault(reason, []).append(example)
    return tuple(sorted((Cases.of(group, reason) for reason, group in groups.items()), key=lambda cases: -cases.count))
