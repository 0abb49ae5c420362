"""The one training loop, and the one loop over images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from affinitynet.config import TrainConfig
from affinitynet.data.store import save_weights, write_text
from affinitynet.processes import ALONE, Processes
from affinitynet.progress import Reporter
from affinitynet.types import InputError

Item = TypeVar("Item")
Sample = tuple[Tensor, ...]
MeanCount = Callable[[Tensor], Tensor]
"""A loss divides its sums by this of the number of their terms, which is their mean over the processes."""

POLY_POWER = 0.9  # of the original's schedule
NAMED_IMAGES = 8
CHECKPOINT_STEPS = 20  # at most a minute of work lost on two cores, far less than a percent of it spent on saving


class RandomSamples(Dataset):
    """Training samples whose randomness depends on (seed, epoch, index) alone.

    So order, workers and interruptions leave each sample as it is.

    Args:
        make: index -> tensors, drawing from torch's global generator.
        seed: of the run.
    """

    def __init__(self, make: Callable[[int], Sample], seed: int) -> None:
        self.make = make
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Sample | InputError:
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, epoch, index)))  # of integers: the same in every process
            try:
                return self.make(index)
            except InputError as error:  # handed over as it is: a loader's process would wrap it in a traceback
                return error


def _stack(samples: list[Sample | InputError]) -> Sample | InputError:
    """Stack samples into a batch, unless one of them is an error."""
    errors = [sample for sample in samples if isinstance(sample, InputError)]
    return errors[0] if errors else default_collate(samples)


class ShuffledSteps(Sampler):
    """Batches of (epoch, index) from ``first_step`` on, shuffled anew each epoch; drops a ragged end.

    Each process gets its share of every batch.

    Raises:
        InputError: there are more processes than images in a batch.
    """

    def __init__(
        self, count: int, config: TrainConfig, seed: int, first_step: int, processes: Processes = ALONE
    ) -> None:
        self.count, self.seed, self.first_step = count, seed, first_step
        self.processes = processes
        self.batch_size = min(config.batch_size, count)
        if self.batch_size < processes.count:
            raise InputError(
                f"batch_size {self.batch_size}: fewer images than the {processes.count} processes that share them; "
                "start fewer, or enlarge it"
            )
        self.steps_per_epoch = count // self.batch_size
        self.epochs = max(config.epochs, math.ceil(config.min_steps / self.steps_per_epoch))
        self.total = self.steps_per_epoch * self.epochs

    def __len__(self) -> int:
        return self.total - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.first_step, self.total):
            yield [(step // self.steps_per_epoch, index) for index in self.processes.share(self.indices(step))]

    def indices(self, step: int) -> list[int]:
        """Return the images of a step, all processes' together."""
        epoch, number = divmod(step, self.steps_per_epoch)
        return _order(self.count, self.seed, epoch)[number * self.batch_size : (number + 1) * self.batch_size]


@lru_cache(maxsize=1)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the order of the images in an epoch."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(hash((seed, epoch)))).tolist()


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
    report: Reporter,
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
        rows = _restore(checkpoint, model, optimizer) if checkpoint.exists() else []
        steps = ShuffledSteps(len(names), config, seed, len(rows), processes)
        parallel = processes.parallel(model)
        loader = DataLoader(
            RandomSamples(make_sample, seed),
            batch_sampler=steps,
            collate_fn=_stack,
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
                    _save(checkpoint, model, optimizer, rows)
                    _write_losses(losses, rows)
        if processes.first:
            _write_losses(losses, rows)
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


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a network computes in ``precision`` ("float32" or "bfloat16")."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, rows: list) -> None:
    """Write model, momenta and loss table as one safetensors file."""
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    momenta = optimizer.state_dict()["state"]
    state |= {f"momentum.{i}": s["momentum_buffer"] for i, s in momenta.items() if s.get("momentum_buffer") is not None}
    save_weights(path, state, {"rows": rows})


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> list:
    """Undo :func:`_save`; return the loss table."""
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            rows = json.loads(file.metadata()["affinitynet"])["rows"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it to start this training again") from None
    model.load_state_dict({key[6:]: t for key, t in state.items() if key.startswith("model.")})
    momenta = {int(key[9:]): {"momentum_buffer": t} for key, t in state.items() if key.startswith("momentum.")}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": momenta})
    return [tuple(row) for row in rows]


def _write_losses(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    lines = [",".join(map(str, row)) for row in rows]
    write_text(path, "\n".join(["step,epoch,learning_rate,loss", *lines]) + "\n")


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of ``workers`` threads in which every torch operation uses one core.

    One image a core beats one image on all cores: nothing waits at the end of an operation.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def for_each_image(
    function: Callable[[Item], None],
    items: Sequence[Item],
    *,
    total: int,
    workers: int,
    report: Reporter,
    label: str,
) -> None:
    """Call ``function`` on every item, ``workers`` at a time, under a progress bar.

    The first error ends the loop and is raised here; so does Ctrl-C, after the images in work.

    Args:
        items: what is still to be done.
        total: how many there are with those already done.

    Example:
        >>> seen = []
        >>> for_each_image(seen.append, [1, 2], total=2, workers=2, report=Reporter(), label="")
        >>> sorted(seen)
        [1, 2]
    """
    with report.bar(label, total, done=total - len(items)) as advance, one_thread_each(workers) as pool:
        running: set[Future] = set()
        queue = iter(items)
        while True:
            for item in queue:
                running.add(pool.submit(function, item))
                if len(running) >= 2 * workers:  # bounded, so that an error is seen at once
                    break
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                advance()
