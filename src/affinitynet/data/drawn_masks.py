"""Which masks teach: those that somebody drew for it, and where wanted a collection's ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import Collection
from affinitynet.data.turns import in_turn
from affinitynet.errors import InputError, Remark
from affinitynet.records import TaggedImage


def teaching(collection: Collection, split: str, config: PipelineConfig) -> Collection:
    """Return a collection in which an image either teaches by its mask or is measured by it, never both.

    Drawn masks of images that are not trained on teach nothing, which is remarked.

    Args:
        split: the one that is trained on; only its ground truth may teach.
        config: ``learn_from``, ``drawn`` and ``seed`` decide which masks teach.

    Raises:
        InputError: there is no such split, or masks are to be learnt from and it has none.

    Example:
        >>> from pathlib import Path
        >>> from affinitynet.data.truth import PngMask
        >>> records = tuple(TaggedImage(f"{n}", Path(f"{n}.png"), (0,), PngMask(Path("m.png"))) for n in range(10))
        >>> collection = Collection(Path(), ("cat",), {"all": records}, np.arange(256, dtype=np.uint8), "all", ("all",))
        >>> found = teaching(collection, "all", PipelineConfig(learn_from="masks")).split("all")
        >>> sum(record.drawn is not None for record in found), sum(record.truth is not None for record in found)
        (8, 2)
    """
    most, seed = config.drawn.most, config.seed
    training = {record.name: record for record in collection.split(split)}
    drawn = {record.name: record for records in collection.splits.values() for record in records if record.drawn}
    taught = {name: record for name, record in drawn.items() if name in training}
    if config.learn_from == "masks":
        known = {name: replace(record, drawn=record.truth) for name, record in training.items() if record.truth}
        if not known and not drawn:
            raise InputError(f"--learn-from masks: no image of split {split!r} has a mask; draw some, or leave it out")
        measured = {r.name for other in collection.evaluation_splits for r in collection.masked(other)}
        held_out = (
            set() if measured - set(known) else set(_some(known, round(config.drawn.hold_out * len(known)), seed))
        )
        taught = {name: record for name, record in known.items() if name not in held_out} | taught
    if most is not None and most < len(taught):
        taught = {name: taught[name] for name in _each_class_in_turn(taught, seed)[:most]}
    if not drawn and not taught:
        return collection
    idle = [name for name in drawn if name not in training]
    remarks = collection.remarks
    if idle:
        text = f"{len(idle)} drawn or corrected masks teach nothing: their images, e.g. {idle[0]}, are not trained on"
        remarks = (*remarks, Remark("warning", text))

    def settled(record: TaggedImage) -> TaggedImage:
        if record.name in taught:
            return replace(record, drawn=taught[record.name].drawn, truth=None, boxes=None)
        return replace(record, drawn=None) if record.drawn else record

    splits = {name: tuple(map(settled, records)) for name, records in collection.splits.items()}
    evaluated = tuple(name for name in collection.evaluation_splits if any(record.truth for record in splits[name]))
    return replace(collection, splits=splits, evaluation_splits=evaluated, remarks=remarks)


def _some(names: Iterable[str], count: int, seed: int) -> list[str]:
    """Draw names; of two counts, the larger draws those of the smaller and more."""
    ordered = sorted(names)
    return [ordered[number] for number in np.random.default_rng(seed).permutation(len(ordered))[:count]]


def _each_class_in_turn(records: Mapping[str, TaggedImage], seed: int) -> list[str]:
    """Order names at random, but each class in turn, and last those without a tag, whose masks say nothing new."""
    kinds: dict[int, list[str]] = {}
    at_random = _some(records, len(records), seed)
    for name in at_random:
        for tag in records[name].tags:
            kinds.setdefault(tag, []).append(name)
    return list(dict.fromkeys([*in_turn(kinds[tag] for tag in sorted(kinds)), *at_random]))
