"""Where the time of a training step goes: reading, augmenting, forward, backward, optimiser, waiting.

    python -m benchmarks.training --work WORK [--steps 20] [--workers N]

``WORK`` is a work folder with seeds and masks. A sample is timed on one core, as a loader's process makes it; the step
on all cores, with nothing beside it; the loop is the real one with its loaders. What the loop takes beyond the step is
waiting for samples, or what loaders and network take from each other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from affinitynet.config.trainings import TrainConfig
from affinitynet.data.images import load_tagged
from affinitynet.models.classifier import load_classifier
from affinitynet.models.segmenter import start_from
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.seed_samples import SeedSamples, seed_samples
from affinitynet.pipeline.stages.train_affinity import affinity_net_loss, new_affinity_net
from affinitynet.pipeline.stages.train_segmenter import SegmenterSamples, new_segmenter, segmenter_loss
from affinitynet.records import TaggedImage
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.precision import autocast
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import open_finished
from affinitynet.training.checkpoint import TrainingFiles
from affinitynet.training.loop import Loss, fit
from affinitynet.training.samples import RandomSamples, stack_samples
from benchmarks.common import show, table

WARM_UP = 3
"""Steps before those that count."""


@dataclass(frozen=True)
class Training:
    """What :func:`affinitynet.training.loop.fit` is given."""

    model: nn.Module
    samples: Any
    loss: Loss
    config: TrainConfig


def _affinity(context: Context) -> Training:
    config, model = context.config.affinity, new_affinity_net(context)
    samples = seed_samples(SeedSamples, context, config, model.stride, model.backbone)
    return Training(model, samples, partial(affinity_net_loss, config), config)


def _segmenter(context: Context) -> Training:
    config, classes = context.config.segmenter, context.collection.classes
    model = new_segmenter(context.config, classes)
    start_from(model, load_classifier(context.work.weights("classifier")).backbone)
    records, masks = context.training_images, context.work.first_masks
    samples = SegmenterSamples(records, len(classes), masks, config, model.mean, model.std)
    return Training(model, samples, partial(segmenter_loss, config), config)


def seconds_a_call(call: Callable[[int], object], times: int) -> float:
    """Return the mean seconds of a call, after a first one that does not count."""
    call(0)
    start = time.perf_counter()
    for number in range(times):
        call(number)
    return (time.perf_counter() - start) / times


def sample_seconds(training: Training) -> tuple[float, float]:
    """Return the seconds to read an image, and to make all of a sample, on one core."""
    records: Sequence[TaggedImage] = training.samples.records
    made, count = RandomSamples(training.samples, 0), min(40, len(records))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reading = seconds_a_call(lambda number: load_tagged(records[number]), count)
        return reading, seconds_a_call(lambda number: made[0, number], count)
    finally:
        torch.set_num_threads(threads)


def step_seconds(training: Training, steps: int) -> list[float]:
    """Return the median seconds of forward pass with loss, backward pass and optimiser, on all cores."""
    model, made = training.model, RandomSamples(training.samples, 0)
    batch = stack_samples([made[0, number] for number in range(training.config.batch_size)])
    assert isinstance(batch, tuple | list)
    model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-6)
    times = []
    for _ in range(WARM_UP + steps):
        optimiser.zero_grad()
        marks = [time.perf_counter()]
        with autocast(torch.device("cpu"), training.config.precision):
            value = training.loss(model, tuple(batch), lambda count: count)
        marks.append(time.perf_counter())
        value.backward()
        marks.append(time.perf_counter())
        optimiser.step()
        marks.append(time.perf_counter())
        times.append([end - start for start, end in pairwise(marks)])
    return [statistics.median(column) for column in zip(*times[WARM_UP:], strict=True)]


def loop_seconds(training: Training, steps: int, runtime: Runtime) -> float:
    """Return the seconds a step of the real loop, without those of its start."""
    records = training.samples.records
    batch = min(training.config.batch_size, len(records))
    times = []
    for count in (WARM_UP, WARM_UP + steps):
        enough = (records * (1 + count * batch // len(records)))[: count * batch]
        config = replace(training.config, epochs=1, min_steps=0)
        with tempfile.TemporaryDirectory() as folder:
            files = TrainingFiles("", Path(folder) / "checkpoint", Path(folder) / "losses.csv")
            start = time.perf_counter()
            fit(training.model, replace(training.samples, records=enough), training.loss, config, files, runtime, 0)
            times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / steps


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    found, runtime = open_finished(given.work), Runtime("cpu", given.workers)
    context = Context(found.collection, found.collection, found.folder, found.config, found.split, runtime, found.given)
    columns = ("read", "augment", "forward", "backward", "optimiser", "step", "loop", "beyond the step")
    made = table("seconds; of samples for a batch, on one core", "training", *columns)
    for name, training in (("AffinityNet", _affinity(context)), ("segmenter", _segmenter(context))):
        reading, sample = sample_seconds(training)
        parts = step_seconds(training, given.steps)
        loop = loop_seconds(training, given.steps, runtime)
        step, batch = sum(parts), training.config.batch_size
        cells = (batch * reading, batch * (sample - reading), *parts, step, loop, loop - step)
        made.add_row(name, *(f"{value:.3f}" for value in cells))
    show(made)


if __name__ == "__main__":
    main()
