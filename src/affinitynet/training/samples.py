"""Training samples and their order: random, and the same however a run is divided or interrupted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from affinitynet.config.trainings import TrainConfig
from affinitynet.errors import InputError
from affinitynet.runtime.processes import ALONE, Processes

Sample: TypeAlias = tuple[Tensor, ...]
"""The tensors of one image, or of a batch of them, stacked."""


class TrainingSamples(Protocol):
    """Images to train on. Implementations hold plain values only, so that they can be sent to another process."""

    @property
    def names(self) -> Sequence[str]:
        """The images' names, in the order of the indices."""

    def __call__(self, index: int) -> Sample:
        """Return the tensors of one image, augmented by torch's global generator."""


_WORD = 2**64
_FACTORS = (11400714785074694791, 14029467366897019727, 2870177450012600261)  # xxHash's primes 1, 2 and 5


def mixed_seed(*numbers: int) -> int:
    """Mix whole numbers into one seed, so that near ones give unlike random numbers.

    These are the rounds of xxHash (Collet, 2012) over 64-bit words, as CPython 3.8 to 3.13 hashes a tuple of small
    whole numbers; written out, since no Python promises to keep that.

    Returns:
        A whole number in [0, 2^64), the same on every machine.

    Example:
        >>> mixed_seed(0, 3, 7), mixed_seed(0, 3, 8)
        (4870957054675202149, 11378597810777200574)
    """
    first, second, fifth = _FACTORS
    mixed = fifth
    for number in numbers:
        mixed = (mixed + number * second) % _WORD
        mixed = ((mixed << 31) | (mixed >> 33)) % _WORD
        mixed = mixed * first % _WORD
    return (mixed + (len(numbers) ^ fifth ^ 3527539)) % _WORD


class RandomSamples(Dataset):
    """Training samples whose randomness depends on (seed, epoch, index) alone.

    So order, workers and interruptions leave each sample as it is.

    Args:
        make: the images; draws from torch's global generator.
        seed: of the run.
    """

    def __init__(self, make: TrainingSamples, seed: int) -> None:
        self.make = make
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Sample | InputError:
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(self.seed, epoch, index))
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
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed_seed(seed, epoch))).tolist()
