"""How much memory this process has needed."""

from __future__ import annotations

import sys


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
