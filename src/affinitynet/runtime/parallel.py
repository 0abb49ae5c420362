"""The one loop over images: several in parallel, under a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from affinitynet.runtime.progress import Progress

Item = TypeVar("Item")


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of ``workers`` threads in which every torch operation uses one core.

    One image a core beats one image on all cores: nothing waits at the end of an operation.
    """
    import torch

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
    progress: Progress,
    label: str,
) -> None:
    """Call ``function`` on every item, ``workers`` at a time, under a progress bar.

    The first error ends the loop and is raised here; so does Ctrl-C, once the images in progress are finished.

    Args:
        items: what is still to be done.
        total: how many there are with those already done.

    Example:
        >>> seen = []
        >>> for_each_image(seen.append, [1, 2], total=2, workers=2, progress=Progress(), label="")
        >>> sorted(seen)
        [1, 2]
    """
    with progress.bar(label, total, done=total - len(items)) as advance, one_thread_each(workers) as pool:
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
