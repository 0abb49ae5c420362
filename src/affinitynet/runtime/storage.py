"""Folders on object storage (S3, Google Cloud Storage ...) and their copies on this machine's disk.

fsspec transfers; what is said here is which of the two copies of a file is the newer one.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from affinitynet.errors import InputError, one_line
from affinitynet.files import LOCK, UNFINISHED, read_json, write_json

_URL = re.compile(r"[a-z][a-z0-9+.-]+://.+", re.IGNORECASE)

TRANSFERS = 16
"""Files in transfer at a time: each waits for answers most of the time."""

OTHER = -1, -1
"""Size and time of a file here that is not what its object is."""

LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of this machine's disk, not of the storage."""

OWN = (UNFINISHED, LOCK)
"""Beginnings of the names of files that are of use on one machine only."""

_VERSIONS = ("ETag", "etag", "md5Hash")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


def is_url(text: str) -> bool:
    """Whether a text is an address on storage.

    Example:
        >>> is_url("s3://bucket/photos"), is_url("C:/photos")
        (True, False)
    """
    return _URL.fullmatch(text) is not None


@dataclass(frozen=True)
class Copies:
    """A file as it was when both copies were last the same.

    Args:
        version: of the object on the storage.
        size, modified: of the file here, in bytes and nanoseconds.
    """

    version: str
    size: int
    modified: int


@dataclass(frozen=True)
class Stored:
    """An object on the storage: its version, its bytes, and the second it was written in."""

    version: str
    size: int
    written: float | None


class Mirror:
    """A folder on storage and its copy on this machine.

    Args:
        url: of the folder on storage.
        local: the copy; what is known of both is kept beside it.

    Raises:
        InputError: the address cannot be used, or nothing that reads it is installed.
        OSError: the storage cannot be reached; every method may raise both.

    Example:
        >>> import fsspec, tempfile
        >>> fsspec.filesystem("memory").pipe("/example/a/b.txt", b"there")
        >>> mirror = Mirror("memory://example", Path(tempfile.mkdtemp()) / "copy")
        >>> mirror.fetch(mirror.there())
        >>> (mirror.local / "a" / "b.txt").read_text(), mirror.changed_here()
        ('there', [])
    """

    def __init__(self, url: str, local: Path) -> None:
        self.url, self.local = url.rstrip("/"), local
        self.memory = local.with_name(f"{local.name}.json")
        with self._explained():
            from fsspec.core import url_to_fs

            self.storage, self.root = url_to_fs(self.url)
        content = read_json(self.memory) if self.memory.exists() else {}
        self.known: dict[str, Copies] = {path: Copies(*entry) for path, entry in content.items()}

    def there(self) -> dict[str, Stored]:
        """Return what is on the storage: path below the folder -> what is known of it."""
        with self._explained():
            self.storage.invalidate_cache()
            found = self.storage.find(self.root, detail=True) if self.storage.exists(self.root) else {}
        root = self.root.strip("/")
        below = len(root) + 1 if root else 0
        files = {
            path.strip("/")[below:]: facts
            for path, facts in found.items()
            if facts["type"] == "file" and not path.endswith("/")  # which marks a folder
        }
        for path in files:
            if ".." in path.split("/") or path.startswith("/"):
                raise InputError(f"{self.url}: the name {path!r} leads out of the folder; rename or delete that object")
        return {path: _stored(facts) for path, facts in files.items() if path}

    def version(self, path: str) -> str | None:
        """Return the present version of one object, ``None`` if there is none."""
        with self._explained():
            self.storage.invalidate_cache()
            target = self._target(path)
            return _stored(self.storage.info(target)).version if self.storage.exists(target) else None

    def read(self, path: str) -> bytes | None:
        """Return the content of one object, ``None`` if there is none."""
        with self._explained():
            self.storage.invalidate_cache()
            target = self._target(path)
            return self.storage.cat_file(target) if self.storage.exists(target) else None

    def here(self) -> Iterator[str]:
        """Yield the paths of the files of the copy that are whole."""
        for folder, _, files in os.walk(self.local):
            for name in files:
                if not name.startswith(OWN):
                    yield Path(folder, name).relative_to(self.local).as_posix()

    def pull(self) -> None:
        """Make the copy what is on the storage, whatever it was."""
        there = self.there()
        self.delete_here([path for path in self.here() if path not in there])
        self.fetch({path: stored for path, stored in there.items() if not self.has(path, stored)})

    def has(self, path: str, stored: Stored) -> bool:
        """Whether the file here is the object."""
        known = self.known.get(path)
        return known is not None and known.version == stored.version and self.is_as_known(path)

    def is_as_known(self, path: str) -> bool:
        """Whether the file here is as it was when it was last the same as the object."""
        known = self.known.get(path)
        return known is not None and self._measured(path) == (known.size, known.modified)

    def changed_here(self) -> list[str]:
        """Return the files of the copy that the storage does not have as they are."""
        return sorted(path for path in self.here() if not self.is_as_known(path))

    def fetch(self, there: dict[str, Stored]) -> None:
        """Copy objects from the storage; a file appears once it is whole, with the time at which it was stored."""
        self._each(lambda path: self._fetch(path, there[path]), there)

    def store(self, paths: Iterable[str]) -> None:
        """Copy files to the storage."""
        self._each(self._store, paths)

    def delete_there(self, paths: Iterable[str]) -> None:
        """Delete objects, and forget them."""

        def delete(path: str) -> None:
            with self._explained(), suppress(FileNotFoundError):  # somebody else has deleted it
                self.storage.rm_file(self._target(path))
            del self.known[path]

        self._each(delete, [path for path in paths if path in self.known])

    def delete_here(self, paths: Iterable[str]) -> None:
        """Delete files of the copy, and forget them."""
        todo = list(paths)
        for path in todo:
            (self.local / path).unlink(missing_ok=True)
            self.known.pop(path, None)
        if todo:
            self._remember()

    def write(self, path: str, content: bytes) -> None:
        """Write an object whose file here may be another one; it is known as different from that."""
        with self._explained():
            self.storage.pipe_file(self._target(path), content)
            version = _stored(self._facts(path)).version
        self.known[path] = Copies(version, *OTHER)
        self._remember()

    def _fetch(self, path: str, stored: Stored) -> None:
        target = self.local / path
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = target.with_name(f"{UNFINISHED}{target.name}")
        with self._explained():
            self.storage.get_file(self._target(path), str(whole))
        if stored.written is not None:
            os.utime(whole, (stored.written, stored.written))
        whole.replace(target)
        self._note(path, stored.version)

    def _store(self, path: str) -> None:
        before = self._measured(path)
        if before is None:
            return  # it was deleted meanwhile
        with self._explained():
            self.storage.put_file(str(self.local / path), self._target(path))
            version = _stored(self._facts(path)).version
        grown = before != self._measured(path)
        self.known[path] = Copies(version, *(OTHER if grown else before))

    def _facts(self, path: str) -> dict[str, Any]:
        self.storage.invalidate_cache()
        return self.storage.info(self._target(path))

    def _target(self, path: str) -> str:
        return f"{self.root}/{path}"

    def _measured(self, path: str) -> tuple[int, int] | None:
        try:
            stat = (self.local / path).stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def _note(self, path: str, version: str) -> None:
        measured = self._measured(path)
        if measured is not None:
            self.known[path] = Copies(version, *measured)

    def _each(self, transfer: Callable[[str], None], paths: Iterable[str]) -> None:
        """Transfer files in parallel, and remember those that were."""
        todo = list(paths)
        try:
            with ThreadPoolExecutor(TRANSFERS) as pool:
                for _ in pool.map(transfer, todo):
                    pass
        finally:
            if todo:
                self._remember()

    def _remember(self) -> None:
        write_json(self.memory, {path: astuple(copies) for path, copies in self.known.copy().items()}, indent=None)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of an error of the storage which address it is about; its libraries raise errors of any kind."""
        try:
            yield
        except ImportError as error:
            cure = "s3://: `pip install s3fs`, gs://: `pip install gcsfs`"
            raise InputError(f"{self.url}: {one_line(error)} ({cure})") from None
        except (ValueError, FileNotFoundError, PermissionError) as error:
            cure = "check the address and your permissions"
            raise InputError(f"{self.url}: cannot be used ({one_line(error)}); {cure}") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in LOCAL:
                raise
            raise OSError(f"{self.url}: cannot be reached ({one_line(error) or type(error).__name__})") from None


def _stored(facts: dict[str, Any]) -> Stored:
    """Return what there is to know of an object; each storage names that differently."""
    written = next((time for time in (_seconds(facts.get(name)) for name in _TIMES) if time is not None), None)
    version = next((str(facts[name]) for name in _VERSIONS if facts.get(name)), f"{facts['size']} {written}")
    return Stored(version, int(facts["size"]), written)


def _seconds(time: Any) -> float | None:
    """Return a time in seconds, whatever form it has."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    return time.timestamp() if isinstance(time, datetime) else float(time) if isinstance(time, (int, float)) else None
