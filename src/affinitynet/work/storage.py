"""A work folder on object storage: worked on in a copy, and stored in an order that a kill cannot spoil.

``stages.json`` says under which settings files were made. So it is stored before them, with their stage unfinished, and
again after them; while files of other settings are being replaced, it says of their stage that they are mixed.
"""

from __future__ import annotations

import csv
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from affinitynet.errors import InputError
from affinitynet.files import read_json
from affinitynet.runtime.storage import Mirror, Stored
from affinitynet.work.artifacts import KINDS
from affinitynet.work.rows import append_rows

RECORDS = "stages.json"
GROWING = ("added.csv", "added_refined.csv", "doubts.csv", "doubts_refined.csv")
"""Tables to which every task adds rows: each task stores its own, and who works alone joins them."""

PARTS = "tasks"
"""Folder of the tables of single tasks: ``tasks/3-of-64/doubts.csv``."""

BY_HAND = "corrections"
"""Folder of what people said in the review, which nobody's run takes from another."""

PASSING = ".checkpoint.safetensors"
ROUND = "segmenter.round.safetensors"
RELABELLED = "relabelled"
"""What is deleted when a training ends or goes on: names that end so, a file, a folder."""

MIXED = "mixed"
"""Fingerprint of a stage some of whose files were made under other settings: no settings have it."""

EVERY = 60.0
"""Seconds after which the storage is brought up to date again, and ten times what that took, if it is more."""

Records = dict[str, dict[str, Any]]


def records_meanwhile(here: Records, there: Records) -> Records:
    """Return what ``stages.json`` says while files are being stored.

    Args:
        here: what it says in the copy.
        there: what it said on the storage.

    Example:
        >>> done = {"fingerprint": "a", "finished": True}
        >>> records_meanwhile({"make-cams": done}, {})
        {'make-cams': {'fingerprint': 'a', 'finished': False}}
        >>> records_meanwhile({"make-cams": {**done, "fingerprint": "b"}}, {"make-cams": done})
        {'make-cams': {'fingerprint': 'mixed', 'finished': False}}
    """
    between: Records = {}
    for stage in {**there, **here}:
        stored, made = there.get(stage), here.get(stage)
        if stored is not None and (made is None or made["fingerprint"] != stored["fingerprint"]):
            between[stage] = {**stored, "fingerprint": MIXED, "finished": False}
        elif made is not None:
            between[stage] = {**made, "finished": bool(made["finished"] and stored and stored["finished"])}
    return between


class _Stored(ABC):
    """A work folder on storage and its copy."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    @abstractmethod
    def push(self) -> None:
        """Bring the storage up to date."""

    @contextmanager
    def kept_up(self, say: Callable[[str], None]) -> Iterator[None]:
        """Bring the storage up to date every minute, and at the end, also where that is an error.

        Args:
            say: where to report what cannot be stored.
        """
        ended = threading.Event()

        def keep_up() -> None:
            pause = EVERY
            while not ended.wait(pause):
                start = time.monotonic()
                try:
                    self.push()
                except (InputError, OSError) as error:
                    say(f"not stored yet: {error}")
                pause = max(EVERY, 10 * (time.monotonic() - start))

        thread = threading.Thread(target=keep_up, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            ended.set()
            thread.join()
            try:
                self.push()
            except (InputError, OSError) as error:  # not in the place of what went wrong first
                say(f"not stored: {error}")
            raise
        ended.set()
        thread.join()
        self.push()

    def _records_here(self) -> Records:
        file = self.mirror.local / RECORDS
        return read_json(file) if file.exists() else {}

    def _read_records(self) -> Records:
        """Return what the storage says now."""
        content = self.mirror.read(RECORDS)
        try:
            return json.loads(content) if content else {}
        except ValueError as error:
            raise InputError(f"{self.mirror.url}/{RECORDS}: cannot be read ({error}); restore it from a copy") from None

    def _join(self, parts: Iterable[str]) -> None:
        """Add the rows of tasks' tables to the folder's own; rows that are there already do no harm."""
        for part in parts:
            name = part.rpartition("/")[2]
            if name in GROWING:
                text = (self.mirror.local / part).read_text("utf-8", "surrogateescape")
                append_rows([tuple(row) for row in csv.reader(text.splitlines())], self.mirror.local / name)


class StoredWork(_Stored):
    """A work folder on storage, for one who works in it alone.

    Args:
        mirror: the folder and its copy.
        outputs: stage -> what it makes, paths below the folder.
    """

    def __init__(self, mirror: Mirror, outputs: Mapping[str, Sequence[str]]) -> None:
        super().__init__(mirror)
        self.outputs = outputs
        self.records: Records = {}  # as the storage has them
        self.name = uuid4().hex

    def pull(self) -> None:
        """Bring the copy up to date.

        What was made here before a kill and not stored yet is kept, unless somebody else has worked in the folder.
        """
        mirror, there = self.mirror, self.mirror.there()
        self.records = self._read_records()
        known, has = mirror.known.get(RECORDS), there.get(RECORDS)
        alone = (
            known is not None and has is not None and known.version == has.version and (mirror.local / RECORDS).exists()
        )
        if not alone:
            mirror.delete_here([path for path in mirror.here() if path not in there and not _below(path, [BY_HAND])])
        redone = self._redone(self._records_here()) if alone else []
        newer = {path for path, stored in there.items() if self._is_newer(path, stored, alone)}
        mirror.fetch({path: there[path] for path in newer if not _below(path, redone)})
        parts = [path for path in there if _below(path, [PARTS])]
        self._join(parts)
        for path in parts:
            (mirror.local / path).unlink(missing_ok=True)

    def push(self) -> None:
        """Bring the storage up to date; what begins or is made meanwhile is left for the next time.

        Raises:
            InputError: somebody else has worked in the folder meanwhile.
        """
        mirror, before = self.mirror, self._records_here()
        if not before:
            return  # nothing was begun
        changed = [path for path in mirror.changed_here() if path != RECORDS]
        here = self._records_here()  # every file that was found belongs to one of these
        finished = {(stage, record["fingerprint"]) for stage, record in before.items() if record["finished"]}
        settled = {s: {**record, "finished": (s, record["fingerprint"]) in finished} for s, record in here.items()}
        redone = self._redone(here)
        gone = [path for path in mirror.known if not (mirror.local / path).exists()]
        self._refuse_to_overwrite(path for path in (*changed, *gone) if _below(path, [BY_HAND]))
        self._write(records_meanwhile(here, self.records), by=self.name)
        mirror.store([path for path in changed if path in GROWING])  # before the files whose rows they have
        mirror.store([path for path in changed if path not in GROWING])
        mirror.delete_there([path for path in gone if _below(path, [*redone, PARTS]) or _is_deleted(path)])
        after = self._records_here()
        same = _fingerprints(after).items() >= _fingerprints(here).items()
        self._write(settled if same else records_meanwhile(after, settled))

    def _write(self, records: Records, by: str | None = None) -> None:
        """Store the records, unless they are there.

        Args:
            by: who is at work; two who store the same are told apart by it.
        """
        if not self._is_as_known(RECORDS):
            raise self._conflict("worked in it")
        if records != self.records:
            signed = {stage: record if by is None else {**record, "by": by} for stage, record in records.items()}
            self.mirror.write(RECORDS, json.dumps(signed, indent=2).encode())
            self.records = records

    def _refuse_to_overwrite(self, paths: Iterable[str]) -> None:
        """Raise if somebody else has stored another version of a file meanwhile."""
        for path in paths:
            here = self.mirror.local / path
            if self._is_as_known(path) or self.mirror.read(path) == (here.read_bytes() if here.exists() else None):
                continue  # the same change as ours is none to lose
            raise self._conflict(f"changed {path}")

    def _is_as_known(self, path: str) -> bool:
        known = self.mirror.known.get(path)
        return self.mirror.version(path) == (known.version if known else None)

    def _conflict(self, what: str) -> InputError:
        return InputError(
            f"{self.mirror.url}: somebody else has {what} meanwhile, and nothing of that was overwritten; if you need "
            f"what was made here, copy {self.mirror.local} away before the next command"
        )

    def _redone(self, here: Records) -> list[str]:
        """Return the outputs of stages that were begun again here under other settings."""
        made = _fingerprints(here)
        return [
            output
            for stage, fingerprint in _fingerprints(self.records).items()
            if made.get(stage) != fingerprint
            for output in self.outputs.get(stage, ())
        ]

    def _is_newer(self, path: str, stored: Stored, alone: bool) -> bool:
        """Whether an object is to be fetched; ``alone``: nobody else has worked in the folder."""
        known, exists = self.mirror.known.get(path), (self.mirror.local / path).exists()
        if alone and path in GROWING and exists:
            return False  # it has all the rows of the object, and more
        if known is None or known.version != stored.version:
            return True
        if not exists:
            return not (alone and _is_deleted(path))
        return not (alone or _below(path, [BY_HAND])) and not self.mirror.is_as_known(path)


class TaskWork(_Stored):
    """A work folder on storage, for one of many tasks that label a share each.

    A task stores the files of its images and tables of its own, with the rows of what it made and of what it found, and
    of ``stages.json`` only what it begins that nobody has. What it had not stored when it was killed is made anew.

    Args:
        mirror: the folder and a copy that no other task uses.
        task: its name, ``3-of-64``.
    """

    def __init__(self, mirror: Mirror, task: str) -> None:
        super().__init__(mirror)
        self.part = f"{PARTS}/{task}"

    def pull(self) -> None:
        """Fetch what is not of single images."""
        mirror, there = self.mirror, self.mirror.there()
        mirror.delete_here([path for path in mirror.here() if path not in there or not mirror.has(path, there[path])])
        self._fetch(there, lambda path: not _below(path, [*KINDS, PARTS]) or _below(path, [self.part]))
        self._join(f"{self.part}/{name}" for name in GROWING if (mirror.local / self.part / name).exists())

    def pull_images(self, names: Iterable[str]) -> None:
        """Fetch the files of images."""
        wanted = set(names)
        self._fetch(self.mirror.there(), lambda path: _image(path) in wanted)

    def name_images(self) -> None:
        """Make empty files in the place of those of all images: whoever asks what is missing needs no more."""
        for path in self.mirror.there():
            if _image(path) is not None:
                target = self.mirror.local / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()

    def _fetch(self, there: Mapping[str, Stored], wanted: Callable[[str], bool]) -> None:
        chosen = {path: stored for path, stored in there.items() if wanted(path)}
        self.mirror.fetch({path: stored for path, stored in chosen.items() if not self.mirror.has(path, stored)})

    def push(self) -> None:
        """Store what was made.

        Raises:
            InputError: a run has changed the settings meanwhile.
        """
        mirror = self.mirror
        images = [path for path in mirror.changed_here() if _image(path) is not None]
        here, there = self._records_here(), self._read_records()
        for stage, fingerprint in _fingerprints(here).items():
            if stage in there and there[stage]["fingerprint"] != fingerprint:
                raise InputError(f"{mirror.url}: a run has changed {stage} meanwhile; start this task again")
        begun = {stage: {**record, "finished": False} for stage, record in here.items() if stage not in there}
        if begun:
            mirror.write(RECORDS, json.dumps({**there, **begun}, indent=2).encode())
        for name in GROWING:
            if (mirror.local / name).exists():
                target = mirror.local / self.part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((mirror.local / name).read_bytes())
        mirror.store([path for path in mirror.changed_here() if _below(path, [self.part])])  # rows before their files
        mirror.store(images)


def _fingerprints(records: Records) -> dict[str, str]:
    return {stage: record["fingerprint"] for stage, record in records.items()}


def _is_deleted(path: str) -> bool:
    """Whether a file that is gone was deleted, and not only cleared up: of a training, or by hand."""
    return path.endswith(PASSING) or path == ROUND or _below(path, [BY_HAND, RELABELLED])


def _below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of some, or below one of them."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _image(path: str) -> str | None:
    """Return the name of the image that a file is of, ``None`` if it is of no single one.

    Example:
        >>> _image("cams/garden/cat 1.npz"), _image("cams.csv")
        ('garden/cat 1', None)
    """
    folder, slash, name = path.partition("/")
    return name.rpartition(".")[0] if slash and folder in KINDS else None
