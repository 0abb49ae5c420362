"""Artifacts of images: record to file and back. What a file holds is said here and nowhere else.

docs/work-folder.md says the same for other tools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from affinitynet.errors import InputError
from affinitynet.files import REMAKE, load_arrays, read_label_image, save_arrays, save_mask
from affinitynet.records import Instances, ScoreMaps, Seeds, Walk

if TYPE_CHECKING:
    from torch import Tensor

Record = TypeVar("Record")

FIRST_STRIDE = 8
"""Stride of walks that do not say theirs: those of versions before 0.2."""


@dataclass(frozen=True)
class Kind(Generic[Record]):
    """A kind of artifact.

    Args:
        folder: where its files are, below the work folder.
        suffix: of its files.
        write, read: its record to a file, and back.
    """

    folder: str
    suffix: str
    write: Callable[[Path, Record], None]
    read: Callable[[Path], Record]


@dataclass(frozen=True)
class Artifacts(Generic[Record]):
    """The artifacts of one kind, by the names of their images.

    Args:
        root: the work folder.
        kind: which.

    Example:
        >>> Artifacts(Path("work"), CAMS).path("beach/dog")
        PosixPath('work/cams/beach/dog.npz')
    """

    root: Path
    kind: Kind[Record]

    def path(self, name: str) -> Path:
        """Return the file of an image."""
        return self.root / self.kind.folder / f"{name}{self.kind.suffix}"

    def __contains__(self, name: str) -> bool:
        return self.path(name).exists()

    def names(self) -> Iterator[str]:
        """Yield the names of the images that have one."""
        folder = self.root / self.kind.folder
        for path in folder.rglob(f"*{self.kind.suffix}"):
            yield path.relative_to(folder).as_posix().removesuffix(self.kind.suffix)

    def save(self, name: str, record: Record) -> None:
        """Write an image's artifact atomically."""
        self.kind.write(self.path(name), record)

    def load(self, name: str) -> Record:
        """Read an image's artifact.

        Raises:
            InputError: it is missing or damaged.
        """
        return self.kind.read(self.path(name))


def _write_cams(path: Path, cams: ScoreMaps) -> None:
    grid = {} if cams.grid is None else {"grid": cams.grid.cpu().numpy()}
    save_arrays(path, classes=_numbers(cams.classes), scores=_halves(cams.scores), **grid)


def _read_cams(path: Path) -> ScoreMaps:
    arrays = load_arrays(path)
    classes, scores = _arrays(path, "classes", "scores")
    grid = _tensor(arrays["grid"]) if "grid" in arrays else None
    with _Checked(path):
        return ScoreMaps(_classes(classes), _tensor(scores).float(), grid)


def _write_seeds(path: Path, seeds: Seeds) -> None:
    save_arrays(path, classes=_numbers(seeds.classes), low=_halves(seeds.low), high=_halves(seeds.high))


def _read_seeds(path: Path) -> Seeds:
    """Leave the scores in float16: training crops them first, and converts what is left."""
    classes, low, high = _arrays(path, "classes", "low", "high")
    with _Checked(path):
        return Seeds(_classes(classes), _tensor(low), _tensor(high))


def _write_walk(path: Path, walk: Walk) -> None:
    save_arrays(
        path,
        classes=_numbers(walk.classes),
        scores=_halves(walk.scores),
        alphas=np.array(walk.alphas),
        background=_halves(walk.background),
        stride=np.array(walk.stride),
    )


def _read_walk(path: Path) -> Walk:
    arrays = load_arrays(path)
    classes, scores, alphas, background = _arrays(path, "classes", "scores", "alphas", "background")
    stride = int(arrays.get("stride", FIRST_STRIDE))
    with _Checked(path):
        walked = tuple(alphas.astype(float).tolist())
        return Walk(_classes(classes), walked, _tensor(background).float(), _tensor(scores).float(), stride)


def _write_probabilities(path: Path, scores: Tensor) -> None:
    save_arrays(path, scores=_halves(scores))


def _read_probabilities(path: Path) -> Tensor:
    (scores,) = _arrays(path, "scores")
    return _tensor(scores).float()


def _write_instances(path: Path, found: Instances) -> None:
    save_arrays(
        path,
        labels=found.labels.astype(np.int32),
        classes=_numbers(found.classes),
        scores=np.array(found.scores, np.float32),
    )


def _read_instances(path: Path) -> Instances:
    labels, classes, scores = _arrays(path, "labels", "classes", "scores")
    with _Checked(path):
        return Instances(labels, _classes(classes), tuple(scores.astype(float).tolist()))


CAMS: Kind[ScoreMaps] = Kind("cams", ".npz", _write_cams, _read_cams)
SEEDS: Kind[Seeds] = Kind("seeds", ".npz", _write_seeds, _read_seeds)
WALKS: Kind[Walk] = Kind("walks", ".npz", _write_walk, _read_walk)
DRAWN: Kind[np.ndarray] = Kind("drawn", ".png", save_mask, read_label_image)
FIRST_MASKS: Kind[np.ndarray] = Kind("first_masks", ".png", save_mask, read_label_image)
REFINED: Kind[np.ndarray] = Kind("refined", ".png", save_mask, read_label_image)
RELABELLED: Kind[np.ndarray] = Kind("relabelled", ".png", save_mask, read_label_image)
MASKS: Kind[np.ndarray] = Kind("masks", ".png", save_mask, read_label_image)
INSTANCES: Kind[Instances] = Kind("instances", ".npz", _write_instances, _read_instances)
SEGMENTED: Kind[np.ndarray] = Kind("segmented", ".png", save_mask, read_label_image)

KINDS: dict[str, Kind[Any]] = {
    kind.folder: kind
    for kind in (CAMS, SEEDS, WALKS, DRAWN, FIRST_MASKS, MASKS, REFINED, RELABELLED, INSTANCES, SEGMENTED)
}
"""Folder of a work folder -> what the file of each image in it is."""

PROBABILITIES: Kind[Tensor] = Kind("scores", ".npz", _write_probabilities, _read_probabilities)
"""Of ``affinitynet predict``: probabilities [C + 1, h, w], background first."""


class _Checked:
    """Say of which file a record is that does not hold together."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (ValueError, TypeError)):
            raise InputError(f"{self.path}: {error}; {REMAKE}") from None


def _arrays(path: Path, *names: str) -> list[np.ndarray]:
    arrays = load_arrays(path)
    for name in names:
        if name not in arrays:
            raise InputError(f"{path}: has no array {name!r}; {REMAKE}")
    return [arrays[name] for name in names]


def _numbers(classes: tuple[int, ...]) -> np.ndarray:
    return np.array(classes, np.int64)


def _classes(stored: np.ndarray) -> tuple[int, ...]:
    return tuple(stored.astype(np.int64).tolist())


def _halves(scores: Tensor) -> np.ndarray:
    """Return scores in [0, 1] as float16: torch converts bit for bit as numpy does, in a thirtieth of the time."""
    return scores.half().cpu().numpy()


def _tensor(stored: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(stored)
