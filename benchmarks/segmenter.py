"""The segmentation network on the walk's masks against the same network on hand-drawn ones.

    python -m benchmarks.segmenter --work WORK [--drawn train] [--most 30] [--split val]

``WORK`` is a finished work folder. The same network, recipe and number of steps train again on the ground-truth masks
of split ``--drawn`` alone, or on some of them (those that ``--drawn.most`` of a run takes); both are measured on
``--split``, without tags.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from affinitynet.config.adaptation import adapted
from affinitynet.config.config_file import read_config, stored_data
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.drawn_masks import teaching
from affinitynet.data.images import load_tagged
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.ops.metrics import confusion_matrix, mean_iou
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.stages.train_segmenter import train_segmenter
from affinitynet.records import TaggedImage
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder
from benchmarks.common import show, table


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--drawn", default="train")
    parser.add_argument("--most", type=int)
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    work = WorkFolder(arguments.work)
    config = read_config(work.config_file, PipelineConfig())
    collection = open_collection(Path(stored_data(work.config_file) or ""), config.classes)
    some = replace(config, learn_from="masks", drawn=replace(config.drawn, most=arguments.most, hold_out=0.0))
    taught = {
        record.name for record in teaching(collection, arguments.drawn, some).split(arguments.drawn) if record.drawn
    }
    drawn = tuple(record for record in collection.split(arguments.drawn) if record.name in taught)
    measured = collection.split(arguments.split)
    split, batch = config.split or collection.default_split, config.segmenter.batch_size
    steps = config.segmenter.epochs * (len(collection.split(split)) // batch)
    epochs = round(steps / max(1, len(drawn) // batch))
    result = table(
        f"Segmentation network, on {len(measured)} images of {arguments.split}", "", "mIoU, %", "of the classes"
    )
    _row(result, "the walk's masks, with tags", collection, measured, lambda r: work.masks.load(r.name))
    ours = SegmentationPredictor.load(arguments.work)
    label = f"network on the walk's masks of {split}, no tags"
    tagged = _row(result, label, collection, measured, lambda r: ours.predict(load_tagged(r)))
    with tempfile.TemporaryDirectory() as folder:
        only = replace(collection, splits={arguments.drawn: drawn}, evaluation_splits=())
        _train_on_drawn(WorkFolder(Path(folder)), work, only, config, arguments.drawn, epochs)
        theirs = SegmentationPredictor.load(Path(folder) / "segmenter.safetensors")
        theirs = SegmentationPredictor(theirs.model, config.predict)
        label = f"same network on the {len(drawn)} drawn masks of {arguments.drawn}, {epochs} epochs"
        supervised = _row(result, label, collection, measured, lambda r: theirs.predict(load_tagged(r)))
    result.add_row("ratio of tags to drawn masks", f"{100 * tagged / supervised:.1f}")
    show(result)


def _train_on_drawn(
    own: WorkFolder, work: WorkFolder, collection: Collection, config: PipelineConfig, split: str, epochs: int
) -> None:
    """Train in folder ``own`` as ``train-segmenter`` does, on ground truth in place of the walk's masks."""
    own.weights("classifier").symlink_to(work.weights("classifier").resolve())
    for record in collection.split(split):
        own.first_masks.save(record.name, collection.mask(record))
    settings = adapted(replace(config, segmenter=replace(config.segmenter, epochs=epochs, rounds=1)), work.plan())
    train_segmenter(
        Context(
            collection=collection,
            unchecked=collection,
            work=own,
            config=settings,
            split=split,
            runtime=Runtime(),
            given=settings,
        )
    )


def _row(
    result: Table,
    label: str,
    collection: Collection,
    records: tuple[TaggedImage, ...],
    predict: Callable[[TaggedImage], np.ndarray],
) -> float:
    labels = len(collection.classes) + 1
    pairs = ((predict(record), collection.mask(record)) for record in records)
    matrices = [confusion_matrix(_tensor(found), _tensor(truth), labels) for found, truth in pairs]
    miou, each = mean_iou(torch.stack(matrices).sum(0))
    result.add_row(label, f"{100 * miou:.1f}", f"{100 * float(each[1:].nanmean()):.1f}")
    return miou


def _tensor(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask.astype(np.int64))


if __name__ == "__main__":
    main()
