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
    collection = _collection(work)
    measured = collection.split(arguments.split)
    title = f"Segmentation network, on {len(measured)} images of {arguments.split}"
    result = table(title, "", "mIoU, %", "of the classes")

    def add(label: str, found: tuple[float, float]) -> float:
        result.add_row(label, *(f"{100 * value:.1f}" for value in found))
        return found[0]

    add("the masks of the run, with tags", measure(collection, measured, lambda r: work.masks.load(r.name)))
    ours = SegmentationPredictor.load(arguments.work)
    tagged = add("its network, no tags", measure(collection, measured, lambda r: ours.predict(load_tagged(r))))
    number = "all" if arguments.most is None else f"{arguments.most}"
    label = f"same network on {number} drawn masks of {arguments.drawn}"
    drawn = add(label, supervised(work, arguments.most, arguments.split, arguments.drawn))
    result.add_row("ratio of tags to drawn masks", f"{100 * tagged / drawn:.1f}")
    show(result)


def supervised(work: WorkFolder, most: int | None, split: str, drawn: str = "train") -> tuple[float, float]:
    """Train the network of a finished work folder on drawn masks alone, for as many steps; return how good it is.

    Args:
        most: drawn masks to use at most, those that ``--drawn.most`` of a run takes; ``None``: all.
        split: to measure on.
        drawn: split whose ground truth is learnt from.
    """
    config, collection = read_config(work.config_file, PipelineConfig()), _collection(work)
    some = replace(config, learn_from="masks", drawn=replace(config.drawn, most=most, hold_out=0.0))
    taught = {record.name for record in teaching(collection, drawn, some).split(drawn) if record.drawn}
    chosen = tuple(record for record in collection.split(drawn) if record.name in taught)
    batch, trained_on = config.segmenter.batch_size, config.split or collection.default_split
    steps = config.segmenter.epochs * (len(collection.split(trained_on)) // batch)
    epochs = max(1, round(steps / max(1, len(chosen) // batch)))
    with tempfile.TemporaryDirectory() as folder:
        only = replace(collection, splits={drawn: chosen}, evaluation_splits=())
        _train_on_drawn(WorkFolder(Path(folder)), work, only, config, drawn, epochs)
        network = SegmentationPredictor.load(Path(folder) / "segmenter.safetensors")
    network = SegmentationPredictor(network.model, config.predict)
    return measure(collection, collection.split(split), lambda record: network.predict(load_tagged(record)))


def _collection(work: WorkFolder) -> Collection:
    """Return the collection that a work folder was made from."""
    classes = read_config(work.config_file, PipelineConfig()).classes
    return open_collection(Path(stored_data(work.config_file) or ""), classes)


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


def measure(
    collection: Collection, records: Sequence[TaggedImage], predict: Callable[[TaggedImage], np.ndarray]
) -> tuple[float, float]:
    """Return the mIoU of masks, and the mean IoU of the classes without background."""
    labels = len(collection.classes) + 1
    pairs = ((predict(record), collection.mask(record)) for record in records)
    matrices = [confusion_matrix(_tensor(found), _tensor(truth), labels) for found, truth in pairs]
    miou, each = mean_iou(torch.stack(matrices).sum(0))
    return miou, float(each[1:].nanmean())


def _tensor(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask.astype(np.int64))


if __name__ == "__main__":
    main()
