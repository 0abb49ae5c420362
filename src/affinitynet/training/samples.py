"""Training samples and their order: random, and the same however a run is divided or interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from affinitynet.config.settings import TrainConfig
from affinitynet.errors import InputError
from affinitynet.runtime.processes import ALONE, Processes

Sample = tuple[Tensor, ...]


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


def stack_samples(samples: list[Sample | InputError]) -> Sample | InputError:
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
