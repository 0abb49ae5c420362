"""The console as people have it: any encoding, closed halfway, or a file on a full disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

CONTINUE = "what was finished is kept, the same command continues"

# What to do about an error of the system, and whether the same command continues then.
_CURES: dict[int, tuple[str, bool]] = {
    errno.ENOSPC: ("make room on that drive", True),
    errno.EDQUOT: ("your quota is used up: make room", True),
    errno.EROFS: ("it cannot be written to; choose a folder on another drive", False),
    errno.EACCES: ("change its permissions, or choose a folder that you may use", False),
    errno.EPERM: ("change its permissions, or choose a folder that you may use", False),
    errno.ENAMETOOLONG: ("rename it, or choose a folder with a shorter path", False),
    errno.EINVAL: ("the drive may not accept that name; choose a folder on another drive", False),
    errno.EILSEQ: ("the drive does not accept that name; choose a folder on another drive", False),
    errno.EMFILE: ("allow more with `ulimit -n 4096`, or use --workers 1", True),
    errno.EIO: ("check the drive and its connection", True),
    errno.ESTALE: ("reconnect the drive", True),
    errno.ENOTCONN: ("reconnect the drive", True),
    errno.ENODEV: ("reconnect the drive", True),
    errno.ENOENT: ("make sure that the drive stays connected", True),
}


def write_anything() -> None:
    """Let the console's streams write names that its encoding lacks, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def advice(error: OSError, resumes: bool) -> str:
    """Say what to do about an error of the system, and that the same command continues if it does.

    Args:
        resumes: whether the command continues where it stopped.

    Example:
        >>> advice(OSError(errno.ENOSPC, "No space left on device"), resumes=False)
        '; make room on that drive'
        >>> advice(OSError(errno.EROFS, "Read-only file system"), resumes=True)
        '; it cannot be written to; choose a folder on another drive'
    """
    cure, continues = _CURES.get(error.errno or 0, ("", True))
    return "".join(f"; {part}" for part in (cure, CONTINUE if resumes and continues else "") if part)


def shown(show: Callable[[], int]) -> int:
    """Print a result and return its exit code, also where nobody reads on, as behind ``| head``.

    Raises:
        OSError: it cannot be written for another reason, such as a full disk.
    """
    try:
        code = show()
        _flush()
        return code
    except BrokenPipeError:
        discard(sys.stdout)
        return show()  # for its exit code, and what it says on stderr
    except OSError:
        discard(sys.stdout)  # Python would try again when it ends, and complain
        raise


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def discard(stream: TextIO) -> None:
    """Let a stream that cannot be written to end in nothing."""
    try:
        target = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, target)
    os.close(null)
