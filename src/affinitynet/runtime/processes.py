"""The processes that share a job, on one machine or many; torchrun and the like start them, accelerate joins them.

Every process walks through the same stages. Labelling divides the images, training divides each batch,
and the first process alone writes what there is once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from affinitynet.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Item = TypeVar("Item")

LONGEST_WAIT = timedelta(days=7)
"""How long a process waits for the others before it takes them for lost."""


class Processes:
    """One process among ``count``.

    Args:
        rank: which one, from 0.
        count: how many there are.

    Example:
        >>> Processes(1, 3).share("abcdefg")
        ['b', 'e']
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank = rank
        self.count = count

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what there is once."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return every ``count``-th item: together the processes have each once."""
        return list(items[self.rank :: self.count])

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            import torch

            torch.distributed.barrier()

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of all processes, in the order of their ranks.

        Example:
            >>> ALONE.gather([1, 2])
            [1, 2]
        """
        if self.count == 1:
            return list(items)
        import torch

        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def total(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over the processes of an array that each has in the same shape."""
        return np.sum(self.gather([array]), axis=0)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a number over the processes; no gradient passes through it."""
        if self.count == 1:
            return value
        import torch

        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total / self.count

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model with its gradients averaged over the processes; it shares the parameters."""
        if self.count == 1:
            return model
        from torch import nn

        return nn.parallel.DistributedDataParallel(model)


ALONE = Processes()


class Shard(Processes):
    """One of ``count`` tasks that label a share each and know nothing of each other: none is first, none waits.

    Example:
        >>> Shard(0, 3).share("abcdefg"), Shard(0, 3).first
        (['a', 'd', 'g'], False)
    """

    @property
    def first(self) -> bool:
        """What there is once, none of them writes."""
        return False

    def wait(self) -> None:
        """Go on at once."""


def choose_device(name: str) -> torch.device:
    """Return the device of "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        InputError: there is no usable GPU for "cuda".
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: this machine has no usable CUDA GPU; use --device cpu")
    return torch.device(name)


def join_processes(device: str) -> tuple[Processes, torch.device]:
    """Join the processes this one was started with, and choose its device: with GPUs, one for each process.

    Args:
        device: as :func:`choose_device` takes it.

    Raises:
        InputError: there is no usable GPU for "cuda".

    Example:
        >>> join_processes("cpu")[1]
        device(type='cpu')
    """
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE, chosen
    from accelerate import PartialState

    # On several machines the counts may differ: only where a worker failed does a restart count as one.
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) and os.environ.get("GROUP_WORLD_SIZE") == "1":
        _connect_anew(chosen)
    # torch gives up on a barrier after 10 or 30 minutes; evaluating a large collection keeps the others waiting longer.
    state: Any = PartialState(cpu=chosen.type == "cpu", timeout=LONGEST_WAIT)
    return Processes(state.process_index, state.num_processes), state.device


def _connect_anew(device: torch.device) -> None:
    """Connect processes that torchrun has started again, on one machine.

    It keeps its store of addresses when it does, and those of the processes that have ended are still in it.
    """
    from torch import distributed

    store, rank, count = next(distributed.rendezvous("env://", timeout=LONGEST_WAIT))
    own = distributed.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=LONGEST_WAIT)
