"""What files hold, as digests: content decides whether something has changed, not its size or its date."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from affinitynet.errors import InputError
from affinitynet.files import read_json, write_json

SETTLED = 2 * 10**9
"""Nanoseconds: a file younger than that may change again without a later date on coarse file systems."""


class Contents:
    """Digests of files, remembered by path, size and time of change, so that each is read once.

    Args:
        memory: JSON file that keeps them; it may be lost or damaged, which costs reading the files again.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> contents, image = Contents(folder / "memory.json"), folder / "a.png"
        >>> _ = image.write_bytes(b"one")
        >>> before = contents.digests([image])
        >>> _ = image.write_bytes(b"two")
        >>> contents.digests([image]) == before
        False
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, list] = {}
        self.seen: dict[str, list] = {}
        try:
            stored = read_json(memory) if memory.exists() else {}
            self.known = {path: entry for path, entry in stored.items() if len(entry) == 3}
        except (InputError, AttributeError, TypeError):
            pass

    def digests(self, paths: Iterable[Path], workers: int = 1) -> list[str]:
        """Return the digests of files, in their order; a word in place of that of a file that cannot be read.

        Args:
            workers: files read in parallel.
        """
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._digest, paths))

    def last_digest(self, path: Path) -> str:
        """Return the digest of a file, or of what it held when it was last there."""
        key = str(path.absolute())
        if path.exists() or key not in self.known:
            return self._digest(path)
        self.seen[key] = self.known[key]
        return self.known[key][2]

    def save(self) -> None:
        """Keep the digests of all files that were asked for; forget the others."""
        young = time.time_ns() - SETTLED
        settled = {path: entry for path, entry in self.seen.items() if entry[1] < young}
        if settled != self.known:
            write_json(self.memory, settled, indent=None)
            self.known = settled

    def _digest(self, path: Path) -> str:
        try:
            return self._known_digest(path)
        except OSError as error:  # check-data says which file that is, and goes on without it
            return f"unreadable: {error.strerror}"

    def _known_digest(self, path: Path) -> str:
        stat, key = path.stat(), str(path.absolute())
        entry = self.seen.get(key) or self.known.get(key)
        if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns] or stat.st_mtime_ns > self._young():
            entry = [stat.st_size, stat.st_mtime_ns, digest_of(path)]
        self.seen[key] = entry
        return entry[2]

    def _young(self) -> int:
        return time.time_ns() - SETTLED


def digest_of(path: Path) -> str:
    """Return the digest of what a file holds.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
