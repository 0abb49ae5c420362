"""One record per image, whatever the layout on disk: recognition, splits, ground truth."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from affinitynet.data.folder import read_folder
from affinitynet.data.images import image_size, load_mask
from affinitynet.data.layout import Layout
from affinitynet.data.voc import read_voc, voc_root
from affinitynet.types import BACKGROUND, IGNORE, MAX_CLASSES, InputError, TaggedImage


@dataclass(frozen=True)
class Dataset:
    """Tagged images in splits.

    Args:
        root: the folder it was read from.
        classes: names; class c has mask value c + 1.
        splits: name -> images.
        mask_values: uint8 [256], stored mask value -> value in the order of ``classes``.
        default_split: what is trained on unless another split is named.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[TaggedImage, ...]]
    mask_values: np.ndarray
    default_split: str

    def split(self, name: str) -> tuple[TaggedImage, ...]:
        """Return the images of a split.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.splits:
            nearest = difflib.get_close_matches(name, self.splits, n=1, cutoff=0.0)[0]
            raise InputError(
                f"--split {name}: {self.root} has no such split; it has {', '.join(self.splits)} "
                f"(did you mean {nearest!r}?)"
            )
        return self.splits[name]

    def evaluation_splits(self) -> tuple[str, ...]:
        """Return the splits that can be measured: all of their images have ground truth.

        Where there is no such split, those of which some images have.
        """
        counts = {name: sum(r.mask is not None for r in records) for name, records in self.splits.items()}
        whole = tuple(name for name, records in self.splits.items() if records and counts[name] == len(records))
        return whole or tuple(name for name in self.splits if counts[name])

    def mask(self, record: TaggedImage) -> np.ndarray:
        """Return an image's ground truth, uint8 [H, W]: 0 background, class + 1, 255 ignore.

        Raises:
            InputError: it cannot be read, has another size than the image, or holds a value that
                is no class.
        """
        if record.mask is None:
            raise InputError(f"{record.name}: has no ground-truth mask")
        stored = load_mask(record.mask, image_size(record.path))
        values = self.mask_values[stored]
        unknown = np.unique(stored[(values == IGNORE) & (stored != IGNORE)])
        if len(unknown):
            raise InputError(
                f"{record.mask}: holds value {unknown[0]}, but there are {len(self.classes)} classes "
                "(0 is background, class + 1, 255 ignore); mend the mask"
            )
        return values


def open_dataset(root: Path | str, classes: Sequence[str] | None = None) -> Dataset:
    """Read a data set of any layout that is known.

    Args:
        root: a VOC devkit folder (``JPEGImages``, ``Annotations``, ``ImageSets``), the folder that
            holds it, or a folder of images with ``tags.csv`` or ``tags.json``.
        classes: names to learn, in the order of their mask values; all by default. Tags and mask
            regions of other classes are dropped.

    Raises:
        InputError: the folder or something in it is not as it should be.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError(f"--data {folder}: no such folder; name the one that holds your images")
    if voc := voc_root(folder):
        layout = read_voc(voc)
    elif any((folder / name).exists() for name in ("tags.csv", "tags.json")):
        layout = read_folder(folder)
    else:
        raise InputError(
            f"--data {folder}: neither a VOC devkit (JPEGImages, Annotations, ImageSets) nor a folder with "
            "tags.csv or tags.json; write tags.csv with the columns file,tags"
        )
    return _choose(folder, layout, layout.classes if classes is None else tuple(classes))


def _choose(root: Path, layout: Layout, chosen: tuple[str, ...]) -> Dataset:
    """Keep the chosen classes, renumbered in their order."""
    for name in chosen:
        if name not in layout.classes:
            nearest = difflib.get_close_matches(name, layout.classes, n=1, cutoff=0.0)[0]
            raise InputError(f"--classes {name}: {root} has no class of that name; did you mean {nearest!r}?")
    if len(set(chosen)) < len(chosen) or not 0 < len(chosen) <= MAX_CLASSES:
        raise InputError(f"--classes: {len(chosen)} names; need 1 to {MAX_CLASSES} different ones")
    numbers = {layout.classes.index(name): number for number, name in enumerate(chosen)}
    mask_values = np.full(256, IGNORE, np.uint8)
    mask_values[: len(layout.classes) + 1] = BACKGROUND
    for old, new in numbers.items():
        mask_values[old + 1] = new + 1

    def renumber(record: TaggedImage) -> TaggedImage:
        return replace(record, tags=tuple(sorted(numbers[tag] for tag in record.tags if tag in numbers)))

    splits = {name: tuple(map(renumber, records)) for name, records in layout.splits.items()}
    return Dataset(root, chosen, splits, mask_values, layout.default_split)
