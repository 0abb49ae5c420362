"""The one training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affinitynet.config.settings import TrainConfig
from affinitynet.errors import InputError
from affinitynet.runtime.precision import autocast
from affinitynet.runtime.processes import ALONE, Processes
from affinitynet.runtime.progress import Progress
from affinitynet.training.checkpoint import restore_checkpoint, save_checkpoint, write_losses
from affinitynet.training.samples import RandomSamples, Sample, ShuffledSteps, stack_samples

MeanCount = Callable[[Tensor], Tensor]
"""A loss divides its sums by this of the number of their terms, which is their mean over the processes."""

POLY_POWER = 0.9  # of the original's schedule
NAMED_IMAGES = 8
CHECKPOINT_STEPS = 20  # at most a minute of work lost on two cores, far less than a percent of it spent on saving


def fit(
    model: nn.Module,
    make_sample: Callable[[int], Sample],
    names: Sequence[str],
    loss: Callable[[nn.Module, Sample, MeanCount], Tensor],
    config: TrainConfig,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    losses: Path,
    report: Progress,
    label: str,
    processes: Processes = ALONE,
) -> None:
    """Train ``model`` in place by SGD with lr x factor x (1 - step / steps)^0.9, set before each step.

    An interrupted training continues at its last checkpoint and gives the same weights as one that
    was not: samples and dropout depend on the seed and the step alone. The model is left on ``device`` in eval mode.

    Several processes share each batch. Their gradients are averaged, and losses divide by the mean count, so
    the step is that of one process with the whole batch, but for rounding and BatchNorm's statistics.

    Args:
        model: a network with ``parameter_groups()``.
        make_sample: index -> tensors of one image; draws from torch's generator.
        names: of the images, in the order of the indices.
        loss: (model, batch of stacked tensors, :data:`MeanCount`) -> scalar.
        processes: that share the work; the first one writes checkpoint and losses.
        checkpoint: where the unfinished state is kept; delete it once the result is saved.
        losses: CSV with a row (step, epoch, learning_rate, loss) per step, written with each checkpoint.

    Raises:
        InputError: the loss or a weight is no finite number; the message names the step, its images and the cure.
            The checkpoint keeps the last state that was good.
    """
    generator_state = torch.random.get_rng_state()
    try:
        model.to(device).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(
            [
                {**group, "lr": 0.0, "weight_decay": config.weight_decay * group["decays"]}
                for group in model.parameter_groups()  # type: ignore[operator]
            ],
            momentum=config.momentum,
        )
        rows = restore_checkpoint(checkpoint, model, optimizer) if checkpoint.exists() else []
        steps = ShuffledSteps(len(names), config, seed, len(rows), processes)
        parallel = processes.parallel(model)
        loader = DataLoader(
            RandomSamples(make_sample, seed),
            batch_sampler=steps,
            collate_fn=stack_samples,
            num_workers=min(1, len(steps)),
        )
        with report.bar(label, steps.total, done=len(rows)) as advance:
            for batch in loader:
                if isinstance(batch, InputError):
                    raise batch
                torch.manual_seed(hash((seed, len(rows))) + processes.rank)  # dropout: the same in a continued training
                try:
                    rows.append(_step(parallel, optimizer, loss, batch, len(rows), steps, config, device))
                    advance(f"loss {sum(row[3] for row in rows[-50:]) / len(rows[-50:]):.4f}")
                    if len(rows) % CHECKPOINT_STEPS == 0 or len(rows) == steps.total:
                        _check_weights(model)
                except FloatingPointError as error:
                    raise InputError(_no_number(label, error, steps, len(rows), names, config)) from None
                if len(rows) % CHECKPOINT_STEPS == 0 and processes.first:
                    save_checkpoint(checkpoint, model, optimizer, rows)
                    write_losses(losses, rows)
        if processes.first:
            write_losses(losses, rows)
        model.eval()
    finally:
        torch.random.set_rng_state(generator_state)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[nn.Module, Sample, MeanCount], Tensor],
    batch: Sample,
    step: int,
    steps: ShuffledSteps,
    config: TrainConfig,
    device: torch.device,
) -> tuple[int, int, float, float]:
    """Do one step; return its row of the loss table."""
    rate = config.learning_rate * (1 - step / steps.total) ** POLY_POWER
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    batch = tuple(t.to(device, non_blocking=True) for t in batch)
    with autocast(device, config.precision):
        value = loss(model, batch, steps.processes.mean)
    known = steps.processes.mean(value).item()
    if not math.isfinite(known):
        raise FloatingPointError(f"the loss became {known}")
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return step, step // steps.steps_per_epoch, rate, known


def _check_weights(model: nn.Module) -> None:
    """See that the last steps have left no weight that is no number: such a state must never be kept."""
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise FloatingPointError(f"the weights {name} are no finite numbers any more")


def _no_number(
    label: str, error: FloatingPointError, steps: ShuffledSteps, step: int, names: Sequence[str], config: TrainConfig
) -> str:
    """Say what became no number, when, on which images, and what helps."""
    images = [names[index] for index in steps.indices(min(step, steps.total - 1))]
    shown = ", ".join(images[:NAMED_IMAGES]) + (" ..." if len(images) > NAMED_IMAGES else "")
    return (
        f"{label}: {error} at step {step} of {steps.total}, on the images {shown}; "
        f"lower learning_rate (now {config.learning_rate}) and run again with --force"
    )
