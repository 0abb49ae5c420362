"""What decides the stages besides each other: settings, and images, tags and ground truth by their contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from affinitynet.config.config_file import to_dict
from affinitynet.config.settings import RANDOM, PipelineConfig
from affinitynet.data.collection import Collection
from affinitynet.pipeline.plan import Facts
from affinitynet.pipeline.table import Stage, stages_of
from affinitynet.records import TaggedImage
from affinitynet.work.contents import Contents

if TYPE_CHECKING:
    from affinitynet.pipeline.context import Context


def gather_facts(context: Context, contents: Contents) -> dict[str, Facts]:
    """Return stage's name -> what decides it. Processes share the reading of the files."""
    stages = stages_of(context.config)
    images = {
        "training": context.training_images,
        "target": context.target_images,
        "checked": context.unchecked.targets(context.split),
        "unseen": context.unseen_images,
    }
    collections = {stage: context.unchecked if stage.images == "checked" else context.collection for stage in stages}
    truth = {stage: _measured(collections[stage]) if stage.truth else [] for stage in stages}
    paths = {record.path for records in images.values() for record in records}
    paths |= {record.truth.file for measured in truth.values() for _, record in measured if record.truth}
    boxes = _boxes(context.collection)
    paths |= {file for _, _, file in boxes}
    paths |= {record.drawn.file for records in images.values() for record in records if record.drawn}
    maps = _maps(context)
    weights = {setting: contents.last_digest(file) for setting, file in _weights(context.config).items()}
    digests = _digests(context, contents, sorted(paths | set(maps.values())))
    settings = to_dict(context.config)
    if settings["cams"]["from_folder"] is None:
        del settings["cams"]["from_folder"]  # so that work folders of versions without it stay as they are

    read = {"checked": _reading(context.unchecked)}

    def facts(stage: Stage) -> Facts:
        masks = [(split, r.name, digests[r.truth.file]) for split, r in truth[stage] if r.truth]
        if stage.name == "evaluate":
            masks += [(split, name, digests[file]) for split, name, file in boxes]
        used = {record.name: [digests[record.path]] for record in images[stage.images]}
        for name in used.keys() & maps.keys() if stage.name == "make-cams" else ():
            used[name].append(digests[maps[name]])
        deciding = {key: settings[key] for key in stage.settings}
        for record in images[stage.images] if stage.drawn else ():
            if record.drawn:
                used[record.name].append(f"drawn {digests[record.drawn.file]}")
                deciding["drawn"] = settings["drawn"]
            if record.rejected:
                used[record.name].append("rejected")
        return Facts(
            deciding,
            _digest(
                [
                    *(
                        (record.name, record.tags, *used[record.name], *_values(record))
                        for record in images[stage.images]
                    ),
                    *read.get(stage.images, ()),
                    *(weights[setting] for setting in stage.settings if setting in weights),
                ]
            ),
            _digest(masks) if stage.truth else "",
        )

    return {stage.name: facts(stage) for stage in stages}


def _reading(collection: Collection) -> list[object]:
    """Return what ``check-data`` reports besides the images: how the collection was read."""
    sizes = [(name, len(records)) for name, records in collection.splits.items()]
    rows = [(left.name, left.reason) for left in collection.left_out]
    return [collection.layout, sizes, rows, [remark.text for remark in collection.remarks]]


def _maps(context: Context) -> dict[str, Path]:
    """Return name -> file of the activation maps that are taken from another method, if they are."""
    folder = context.config.cams.from_folder
    if folder is None:
        return {}

    from affinitynet.data.activation_maps import find_maps

    return find_maps(Path(folder), context.target_images)


def _weights(config: PipelineConfig) -> dict[str, Path]:
    """Return setting -> the file of weights that it names, where it names one."""
    named = {
        "weights": None if config.weights == RANDOM else config.weights,
        "classifier": config.classifier.trained,
        "affinity": config.affinity.trained,
        "irnet": config.irnet.trained,
        "segmenter": config.segmenter.trained,
    }
    return {setting: Path(file) for setting, file in named.items() if file is not None}


def _values(record: TaggedImage) -> list[object]:
    """Return how an image of more than 8 bits is read; nothing where the collection has none."""
    return [] if record.values is None else [record.values.settings]


def _measured(collection: Collection) -> list[tuple[str, TaggedImage]]:
    return [(split, record) for split in collection.evaluation_splits for record in collection.split(split)]


def _boxes(collection: Collection) -> list[tuple[str, str, Path]]:
    """Return (split, image, file of its boxes), where there are any."""
    measured = [(split, record.name, record.boxes.file) for split, record in _measured(collection) if record.boxes]
    return [found for found in measured if found[2].exists()]


def _digests(context: Context, contents: Contents, paths: list[Path]) -> dict[Path, str]:
    processes = context.runtime.processes
    own = processes.share(paths)
    digests = contents.digests(own, context.runtime.workers)
    return dict(processes.gather(list(zip(own, digests, strict=True))))


def _digest(content: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(content)).encode()).hexdigest()[:16]
