"""How results are computed: where, how many in parallel, which processes share the work, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from affinitynet.runtime.parallel import for_each_image
from affinitynet.runtime.processes import ALONE, Processes, choose_device, join_processes
from affinitynet.runtime.progress import Progress

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Runtime:
    """How results are computed. Nothing in it changes a result.

    Args:
        device: where networks and kernels compute.
        workers: images in parallel, in each process.
        processes: that share the work.
        progress: where bars and messages go; silent in all processes but the first.

    Example:
        >>> runtime = Runtime.alone("cpu", workers=2)
        >>> seen = []
        >>> runtime.for_each_image("counting", seen.append, [1, 2])
        >>> sorted(seen), runtime.processes.count
        ([1, 2], 1)
    """

    device: torch.device
    workers: int
    processes: Processes = ALONE
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def start(
        cls, device: DeviceName = "auto", workers: int | None = None, progress: Progress | None = None
    ) -> Runtime:
        """Join the processes this one was started with, each on a device of its own where there are GPUs.

        Args:
            device: "auto" is a GPU if there is one.
            workers: by default one a core.
            progress: of the first process.

        Raises:
            InputError: there is no usable GPU for "cuda".
        """
        processes, chosen = join_processes(device)
        shown = progress if progress is not None and processes.first else Progress()
        return cls(chosen, workers or _cores(), processes, shown)

    @classmethod
    def alone(
        cls, device: DeviceName = "auto", workers: int | None = None, progress: Progress | None = None
    ) -> Runtime:
        """Like :meth:`start` for work that one process does by itself, whoever started it."""
        return cls(choose_device(device), workers or _cores(), ALONE, progress or Progress())

    def with_progress(self, progress: Progress) -> Runtime:
        """Return the same runtime that reports to ``progress``, if this is the first process."""
        return replace(self, progress=progress) if self.processes.first else self

    def for_each_image(
        self, label: str, function: Callable[[Item], None], items: Sequence[Item], total: int | None = None
    ) -> None:
        """Call ``function`` on every item, :attr:`workers` in parallel, under a progress bar.

        Args:
            label: of the bar.
            items: what is still to be done, of this process.
            total: how many there are with those already done; by default as many as ``items``.
        """
        count = len(items) if total is None else total
        for_each_image(function, items, total=count, workers=self.workers, progress=self.progress, label=label)


def _cores() -> int:
    """Return how many cores torch was given, which OMP_NUM_THREADS and the like may have limited."""
    import torch

    return torch.get_num_threads()
