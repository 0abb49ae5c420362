"""The work folder: where the artifacts are, and a record of which settings made them."""

from __future__ import annotations

import csv
import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from affinitynet.config.adaptation import Decision
from affinitynet.config.config_file import read_yaml, stored_plan
from affinitynet.data.corrections import Corrections
from affinitynet.errors import InputError, LeftOut
from affinitynet.files import LOCK, UNFINISHED, read_json, write_json, write_text
from affinitynet.records import Instances, ScoreMaps, Seeds, ValueRanges, Walk
from affinitynet.work.artifacts import (
    CAMS,
    DRAWN,
    FIRST_MASKS,
    INSTANCES,
    KINDS,
    MASKS,
    REFINED,
    RELABELLED,
    SEEDS,
    SEGMENTED,
    WALKS,
    Artifacts,
)
from affinitynet.work.rows import write_rows

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
"""What drives without locks answer: Windows shares, FUSE and cloud mounts."""

_MADE = (
    *KINDS,
    "classifier.safetensors",
    "affinity.safetensors",
    "irnet.safetensors",
    "segmenter.safetensors",
)
_RESTORE = "restore it from a copy, or name a new --work"
_UNKNOWN = f"without it nobody knows how the files in the folder were made: {_RESTORE}"


def save_left_out(path: Path, left_out: Iterable[LeftOut]) -> None:
    """Write what was skipped as a table."""
    write_rows(path, ("name", "part", "reason"), ((left.name, left.part, left.reason) for left in left_out))


@dataclass(frozen=True)
class StageRecord:
    """What ``stages.json`` says of a stage.

    Args:
        fingerprint: digest of everything that decides its result.
        finished: whether it has.
        seconds: that it took so far, over all runs.
        peak_memory_mb: largest memory of the process so far.
        settings: those that decide it; ``None`` in folders of versions that did not note them.
        versions: of the software that began it.
    """

    fingerprint: str
    finished: bool = False
    seconds: float = 0.0
    peak_memory_mb: int | None = None
    settings: dict[str, Any] | None = None
    versions: dict[str, str] | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> StageRecord:
        """Read a record; what other versions may have added is ignored.

        Raises:
            KeyError: it has no fingerprint.
        """
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        return cls(**{"fingerprint": content["fingerprint"], **known})


class WorkFolder:
    """Where the artifacts of one configuration are, and the record of its stages.

    Args:
        root: the folder; made on the first write.

    Example:
        >>> WorkFolder(Path("work")).cams.path("beach/dog")
        PosixPath('work/cams/beach/dog.npz')
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def config_file(self) -> Path:
        return self.root / "config.yaml"

    @property
    def objects_file(self) -> Path:
        """How well objects were told apart, where there are boxes to compare with."""
        return self.root / "objects.json"

    @property
    def metrics_file(self) -> Path:
        return self.root / "metrics.json"

    @property
    def stages_file(self) -> Path:
        return self.root / "stages.json"

    @property
    def log_file(self) -> Path:
        return self.root / "log.txt"

    @property
    def contents_file(self) -> Path:
        """What the collection's files held, so that they are read once."""
        return self.root / ".contents.json"

    @property
    def left_out_file(self) -> Path:
        return self.root / "left_out.csv"

    @property
    def collection_file(self) -> Path:
        """What ``check-data`` found the collection to be like."""
        return self.root / "collection.json"

    @property
    def advice_file(self) -> Path:
        """What limits the collection, if something does."""
        return self.root / "advice.txt"

    @property
    def added_file(self) -> Path:
        """The tagged classes of which a mask had no pixel."""
        return self.root / "added.csv"

    @property
    def added_refined_file(self) -> Path:
        """The same of the masks that the segmentation network made."""
        return self.root / "added_refined.csv"

    @property
    def doubts_file(self) -> Path:
        """How doubtful each mask of make-masks is."""
        return self.root / "doubts.csv"

    @property
    def doubts_refined_file(self) -> Path:
        """The same of the masks that the segmentation network made, and how much they differ from the first ones."""
        return self.root / "doubts_refined.csv"

    @property
    def classifier_file(self) -> Path:
        """How well the classifier knows each class, and how large what it sees is."""
        return self.root / "classifier.json"

    @property
    def values_file(self) -> Path:
        """How images of more than 8 bits are read, if the collection has some."""
        return self.root / "values.json"

    @property
    def drawn(self) -> Artifacts[np.ndarray]:
        """Masks that somebody drew for the networks to learn from, 255 where nothing is said."""
        return Artifacts(self.root, DRAWN)

    @property
    def corrections(self) -> Corrections:
        """What people said of single images in the review; never deleted by a run."""
        return Corrections(self.root / "corrections")

    @property
    def cams(self) -> Artifacts[ScoreMaps]:
        return Artifacts(self.root, CAMS)

    @property
    def seeds(self) -> Artifacts[Seeds]:
        return Artifacts(self.root, SEEDS)

    @property
    def walks(self) -> Artifacts[Walk]:
        return Artifacts(self.root, WALKS)

    @property
    def masks(self) -> Artifacts[np.ndarray]:
        return Artifacts(self.root, MASKS)

    @property
    def first_masks(self) -> Artifacts[np.ndarray]:
        """Those decided from the maps or the walk; the segmentation network learns from them."""
        return Artifacts(self.root, FIRST_MASKS)

    @property
    def refined(self) -> Artifacts[np.ndarray]:
        """Those that the segmentation network made of the tags; ``masks`` are the same."""
        return Artifacts(self.root, REFINED)

    @property
    def relabelled(self) -> Artifacts[np.ndarray]:
        """What the segmentation network of one round leaves the next to learn from."""
        return Artifacts(self.root, RELABELLED)

    @property
    def instances(self) -> Artifacts[Instances]:
        return Artifacts(self.root, INSTANCES)

    @property
    def segmented(self) -> Artifacts[np.ndarray]:
        return Artifacts(self.root, SEGMENTED)

    def weights(self, network: str) -> Path:
        """Return the path of the ``classifier``, ``affinity``, ``irnet`` or ``segmenter`` weights."""
        return self.root / f"{network}.safetensors"

    def checkpoint(self, network: str) -> Path:
        """Return the path of an unfinished training's state."""
        return self.root / f"{network}.checkpoint.safetensors"

    def losses(self, network: str) -> Path:
        """Return the path of a training's loss table."""
        return self.root / "losses" / f"{network}.csv"

    def records(self) -> dict[str, StageRecord]:
        """Return what is known of each started stage.

        Raises:
            InputError: the file was damaged or changed to something else.
        """
        if not self.stages_file.exists():
            if any((self.root / made).exists() for made in _MADE):
                raise InputError(f"{self.stages_file}: is missing; {_UNKNOWN}")
            return {}
        content = read_json(self.stages_file, _UNKNOWN)
        try:
            return {str(stage): StageRecord.from_json(record) for stage, record in content.items()}
        except (AttributeError, TypeError, KeyError) as error:
            raise InputError(f"{self.stages_file}: is not a table of stages ({error}); {_UNKNOWN}") from None

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what ``check-data`` left out, from ``left_out.csv``.

        Raises:
            InputError: the file was torn or changed to something else.
        """
        if not self.left_out_file.exists():
            return ()
        try:
            rows = list(csv.DictReader(self.left_out_file.read_text("utf-8", "surrogateescape").splitlines()))
            return tuple(LeftOut(row["name"], row["part"], row["reason"]) for row in rows)  # type: ignore[arg-type]
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            raise InputError(
                f"{self.left_out_file}: cannot be read ({error}); {_RESTORE}: without it, what check-data skipped "
                "would be trained on"
            ) from None

    def values(self) -> ValueRanges | None:
        """Return how ``check-data`` found that images of more than 8 bits are to be read, ``None`` without any.

        Raises:
            InputError: the file was torn or changed to something else.
        """
        if not self.values_file.exists():
            return None
        cure = f"{_RESTORE}: without it, each image would be read by its own range"
        content = read_json(self.values_file, cure)
        try:
            return ValueRanges.from_settings(content)
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.values_file}: cannot be read ({error}); {cure}") from None

    def plan(self) -> tuple[Decision, ...]:
        """Return what the collection has decided of the settings left open, from ``config.yaml``.

        Raises:
            InputError: the plan was changed to something else.
        """
        lines = stored_plan(self.config_file) if self.config_file.exists() else []
        try:
            return tuple(Decision(**line) for line in lines)
        except TypeError as error:
            raise InputError(f"{self.config_file}: plan: not a list of decisions ({error}); {_UNKNOWN}") from None

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Note decisions in ``config.yaml``, in the place of earlier ones of the same settings."""
        new = list(decisions)
        kept = [known for known in self.plan() if known.setting not in {decision.setting for decision in new}]
        self._write_plan([*kept, *new])

    def _write_plan(self, plan: Iterable[Decision]) -> None:
        content = read_yaml(self.config_file) if self.config_file.exists() else {}
        content["plan"] = [asdict(decision) for decision in plan]
        write_text(self.config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    def record(self, stage: str, record: StageRecord) -> None:
        """Write a stage's record."""
        self._write({**self.records(), stage: record})

    def _write(self, records: dict[str, StageRecord]) -> None:
        write_json(self.stages_file, {stage: asdict(record) for stage, record in records.items()})

    def forget(self, stage: str, outputs: tuple[str, ...]) -> None:
        """Delete a stage's outputs (paths below the folder), what it decided and, when they are gone, its record."""
        records = self.records()
        if stage in records:
            self._write({**records, stage: replace(records[stage], finished=False)})
        for output in outputs:
            path = self.root / output
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        plan = self.plan()
        if any(decision.stage == stage for decision in plan):
            self._write_plan(decision for decision in plan if decision.stage != stage)
        if records.pop(stage, None) is not None:
            self._write(records)

    def sweep(self, outputs: tuple[str, ...]) -> None:
        """Delete what a killed run left half written in the folder itself and in ``outputs`` (paths below it)."""
        for output in outputs:
            for left in (self.root / output).rglob(f"{UNFINISHED}*"):
                left.unlink(missing_ok=True)
        for left in self.root.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)

    @contextmanager
    def locked(self, say: Callable[[str], None] = lambda text: None, patience: float = 0) -> Iterator[None]:
        """Keep other runs out of the folder meanwhile; a killed run leaves it open.

        Storage that knows no locks is taken as it is.

        Args:
            say: where to report that it knows none.
            patience: seconds to wait for another run.

        Raises:
            InputError: another run is at work in it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / LOCK, timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"--work {self.root}: another run is at work in it; wait for that one, or name another --work"
            ) from None
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            say(f"--work {self.root}: its drive knows no locks; make sure that no other run uses this folder meanwhile")
        try:
            yield
        finally:
            with suppress(OSError):
                lock.release()

    def check_is_ours(self) -> None:
        """Refuse a folder that holds something else.

        A run that ended before it could write ``config.yaml`` leaves its lock and its log at most.

        Raises:
            InputError: it is a file, or a folder with other people's files in it.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"--work {self.root}: is a file; name a folder")
        if not self.root.is_dir() or self.config_file.exists():
            return
        names = {path.name for path in self.root.iterdir() if not path.name.startswith(UNFINISHED)}
        if names - {LOCK, self.log_file.name}:
            raise InputError(
                f"--work {self.root}: holds files but no config.yaml, so it is not a work folder; name a new one"
            )
