"""The one training loop."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affinitynet.config.trainings import TrainConfig
from affinitynet.errors import InputError
from affinitynet.runtime.memory import give_back_freed_memory
from affinitynet.runtime.precision import autocast
from affinitynet.runtime.runtime import Runtime
from affinitynet.training.checkpoint import TrainingFiles, restore_checkpoint, save_checkpoint, write_losses
from affinitynet.training.samples import (
    RandomSamples,
    Sample,
    ShuffledSteps,
    TrainingSamples,
    mixed_seed,
    stack_samples,
)

MeanCount: TypeAlias = Callable[[Tensor], Tensor]
"""A loss divides its sums by this of the number of their terms, which is their mean over the processes."""

Loss: TypeAlias = Callable[[nn.Module, Sample, MeanCount], Tensor]
"""(model, batch of stacked tensors, mean count) -> scalar."""

NAMED_IMAGES = 8
SHOWN_STEPS = 50  # that the loss beside the bar is averaged over
CHECKPOINT_STEPS = 20  # at most a minute of work lost on two cores, far less than a percent of it spent on saving


def fit(
    model: nn.Module,
    samples: TrainingSamples,
    loss: Loss,
    config: TrainConfig,
    files: TrainingFiles,
    runtime: Runtime,
    seed: int,
) -> None:
    """Train ``model`` in place with lr x factor x (1 - step / steps)^power, set before each step.

    An interrupted training continues at its last checkpoint and gives the same weights as one that
    was not: samples and dropout depend on the seed and the step alone. The model is left on the runtime's device in
    eval mode.

    Several processes share each batch. Their gradients are averaged, and losses divide by the mean count, so
    the step is that of one process with the whole batch, but for rounding and BatchNorm's statistics.

    Args:
        model: a network with ``parameter_groups()``.
        samples: of the images to train on; draw from torch's generator.
        loss: of a batch; divides by the mean count.
        files: where the unfinished state and the table of losses are kept; the first process writes them. Delete the
            checkpoint once the result is saved.
        runtime: its workers load as many samples in parallel.
        seed: of order and augmentation.

    Raises:
        InputError: the loss or a weight is not a finite number; the message names the step, its images and the cure.
            The checkpoint keeps the last state that was good.
    """
    generator_state = torch.random.get_rng_state()
    try:
        model.to(runtime.device).to(memory_format=torch.channels_last).train()
        trainer = _Trainer(model, loss, config, runtime)
        rows = restore_checkpoint(files.checkpoint, model, trainer.optimizer) if files.checkpoint.exists() else []
        steps = ShuffledSteps(len(samples.names), config, seed, len(rows), runtime.processes)
        with runtime.progress.bar(files.label, steps.total, done=len(rows)) as advance:
            for batch in _batches(samples, steps, runtime, seed):
                if isinstance(batch, InputError):
                    raise batch
                # Dropout: the same in a continued training.
                torch.manual_seed(mixed_seed(seed, len(rows)) + runtime.processes.rank)
                try:
                    rows.append(trainer.step(batch, len(rows), steps))
                    if len(rows) % CHECKPOINT_STEPS == 0 or len(rows) == steps.total:
                        _check_weights(model)
                except FloatingPointError as error:
                    failed = _not_finite(error, steps, len(rows), samples.names, config)
                    raise InputError(f"{files.label}: {failed}") from None
                shown = [row[3] for row in rows[-SHOWN_STEPS:]]
                advance(f"loss {sum(shown) / len(shown):.4f}")
                if len(rows) % CHECKPOINT_STEPS == 0 and runtime.processes.first:
                    save_checkpoint(files.checkpoint, model, trainer.optimizer, rows)
                    write_losses(files.losses, rows)
        if runtime.processes.first:
            write_losses(files.losses, rows)
        model.eval()
    finally:
        torch.random.set_rng_state(generator_state)


def _batches(
    samples: TrainingSamples, steps: ShuffledSteps, runtime: Runtime, seed: int
) -> Iterator[Sample | InputError]:
    """Yield the batch of each step; samples are made in processes of their own, as many as the runtime has workers.

    Beside a GPU whole batches are made in advance. On a processor that would take cores from the step, whose threads
    then wait for each other: there the samples of a batch are made together between two steps, but for the first few.
    """
    workers = min(runtime.workers, len(steps))  # none where a training was killed after its last step
    on_gpu = runtime.device.type == "cuda"
    forked = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    give_back_freed_memory()  # a forked process has, and may copy, whatever this one has kept
    load = partial(
        DataLoader,
        RandomSamples(samples, seed),
        num_workers=workers,
        pin_memory=on_gpu,
        # Python 3.14 starts processes anew where it can, which imports torch again: seconds for each training.
        multiprocessing_context="fork" if forked and workers else None,
    )
    if on_gpu or not workers:
        yield from load(batch_sampler=steps, collate_fn=stack_samples)
        return
    one_by_one = iter(load(sampler=chain.from_iterable(steps), batch_size=None, prefetch_factor=1))
    for step in steps:
        yield stack_samples(list(islice(one_by_one, len(step))))


class _Trainer:
    """A model and its optimiser."""

    def __init__(self, model: nn.Module, loss: Loss, config: TrainConfig, runtime: Runtime) -> None:
        self.model, self.loss, self.config, self.runtime = runtime.processes.parallel(model), loss, config, runtime
        groups = [
            {**group, "lr": 0.0, "weight_decay": config.weight_decay * group["decays"]}
            for group in model.parameter_groups()  # type: ignore[operator]
        ]
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.AdamW(groups)
            if config.optimizer == "adamw"
            else torch.optim.SGD(groups, momentum=config.momentum)
        )

    def step(self, batch: Sample, number: int, steps: ShuffledSteps) -> tuple[int, int, float, float]:
        """Do one step; return its row of the loss table.

        Raises:
            FloatingPointError: the loss is not a finite number.
        """
        mean, device = self.runtime.processes.mean, self.runtime.device
        risen = min(1.0, (number + 1) / (self.config.warm_up + 1))
        rate = self.config.learning_rate * risen * (1 - number / steps.total) ** self.config.poly_power
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        batch = tuple(t.to(device, non_blocking=True) for t in batch)
        with autocast(device, self.config.precision):
            value = self.loss(self.model, batch, mean)
        known = mean(value).item()
        if not math.isfinite(known):
            raise FloatingPointError(f"the loss became {known}")
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return number, number // steps.steps_per_epoch, rate, known


def _check_weights(model: nn.Module) -> None:
    """Raise unless the last steps have left finite weights only: another state must never be kept."""
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise FloatingPointError(f"the weights {name} are no longer finite numbers")


def _not_finite(
    error: FloatingPointError, steps: ShuffledSteps, step: int, names: Sequence[str], config: TrainConfig
) -> str:
    """Say what is no longer a finite number, when, on which images, and what helps."""
    images = [names[index] for index in steps.indices(min(step, steps.total - 1))]
    shown = ", ".join(images[:NAMED_IMAGES]) + (" ..." if len(images) > NAMED_IMAGES else "")
    return (
        f"{error} at step {step} of {steps.total}, on the images {shown}; "
        f"lower learning_rate (now {config.learning_rate}) and run again with --force"
    )
