"""How results are computed: where, how many in parallel, by which processes, and where progress is reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

from affinitynet.runtime.parallel import for_each_image
from affinitynet.runtime.processes import ALONE, Processes, choose_device, join_processes
from affinitynet.runtime.progress import Progress

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
DeviceName = Literal["auto", "cpu", "cuda"]


class Runtime:
    """How results are computed. Nothing in it changes a result.

    The processes of a job are joined and the device is chosen when they are first asked for, so that a mistake in a
    command is reported without waiting for either.

    Args:
        device: Where to compute; auto: a GPU if there is one.
        workers: Images in parallel, in each process; null: one a core.
        progress: where bars and messages of the first process go; silent by default, and in the other processes.
        alone: for work that one process does by itself, regardless of who started it.

    Attributes:
        progress: bars and messages.

    Example:
        >>> runtime = Runtime("cpu", workers=2)
        >>> seen = []
        >>> runtime.for_each_image("counting", seen.append, [1, 2])
        >>> sorted(seen), runtime.processes.count
        ([1, 2], 1)
    """

    def __init__(
        self,
        device: DeviceName = "auto",
        workers: int | None = None,
        progress: Progress | None = None,
        alone: bool = False,
    ) -> None:
        self._device, self._workers = device, workers
        self._known: Processes | None = ALONE if alone else None
        first = alone or int(os.environ.get("RANK", "0")) == 0
        self.progress = progress if progress is not None and first else Progress()

    @cached_property
    def _joined(self) -> tuple[Processes, torch.device]:
        if self._known is not None:
            return self._known, choose_device(self._device)
        return join_processes(self._device)

    def by(self, processes: Processes) -> Runtime:
        """Return the same for processes that are not to be joined."""
        other = Runtime(self._device, self._workers, alone=True)
        other.progress, other._known = self.progress, processes
        return other

    @property
    def processes(self) -> Processes:
        """The processes that share the work.

        Raises:
            InputError: there is no usable GPU for "cuda".
        """
        return self._joined[0]

    @property
    def device(self) -> torch.device:
        """Where networks and kernels compute: a GPU of its own for each process, where there are some.

        Raises:
            InputError: there is no usable GPU for "cuda".
        """
        return self._joined[1]

    @cached_property
    def workers(self) -> int:
        """Images in parallel, in each process: by default one a core that torch was given."""
        import torch

        return self._workers or torch.get_num_threads()

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
