"""What this process does with its memory."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
LARGEST_KEPT, NEVER = 2**30, -1  # bytes


def keep_freed_memory() -> bool:
    """Have large blocks that were freed used again, rather than given back and fetched anew page by page.

    A training step on a CPU otherwise spends a quarter of its time in page faults (docs/performance.md). For
    a command that owns its process, and calls :func:`give_back_freed_memory` where its work changes; only glibc,
    Linux's usual C library, needs and has it.

    Returns:
        Whether it is in effect.

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    if sys.platform != "linux":
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and all(
        set_option(option, value) for option, value in ((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, NEVER))
    )


def give_back_freed_memory() -> None:
    """Return to the system what :func:`keep_freed_memory` has kept: one stage's blocks seldom fit the next.

    Example:
        >>> give_back_freed_memory()
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def peak_memory() -> int:
    """Return the largest resident size so far in MB, of this process and its largest child together.

    0 on systems that do not tell (Windows).

    Example:
        >>> peak_memory() >= 0
        True
    """
    if sys.platform == "win32":
        return 0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(w).ru_maxrss for w in who) // unit
