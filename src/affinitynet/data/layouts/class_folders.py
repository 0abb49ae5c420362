"""A sub-folder per class, as torchvision's ImageFolder, Keras and Kaggle have it; no table, optional masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from affinitynet.data.image_files import find_image_files
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.found_images import SPLIT_FOLDERS, FoundImages, by_split, default_split, with_untagged
from affinitynet.data.layouts.mask_files import MaskFiles, drawn_folder, looks_like_masks, mask_folder
from affinitynet.errors import InputError, Problems
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "a sub-folder per class (cat/1.jpg, dog/2.jpg, or train/cat/1.jpg)"

NEGATIVES = frozenset(("negative", "negatives", "neg", "none", "background", "backgrounds", "empty", "nothing"))
"""Folders (lower case) whose images are taken to show none of the classes."""

_DOUBTFUL = frozenset(
    ("normal", "healthy", "good", "ok", "clean", "other", "others", "unknown", "unlabeled", "unlabelled")
)
_NO = re.compile(r"(no|non|not|without)[ _-]+(.+)")
_NO_CLASS = re.compile(r"(no|non|not|without)(.+)")
_NOT_CLASSES = frozenset(
    ("images", "image", "img", "imgs", "masks", "mask", "labels", "annotations", "jpegimages", "segmentationclass",
     "ground_truth", "groundtruth", "gt")
)  # fmt: skip


def recognise(folder: Path) -> Path | None:
    """Return the folder that has at least two sub-folders with images, and no image beside them.

    That is the folder itself, or the only sub-folder of one that contains nothing else. Folders of masks at the top are
    no classes.
    """
    keys = [path.relative_to(folder).as_posix() for path in find_image_files(folder).images]
    masks = {name for name in _mask_folders(keys, folder) if name}
    root, folders = folder, {PurePosixPath(key).parent.parts for key in keys if _top(key) not in masks}
    while folders and () not in folders:
        heads = {parts[0] for parts in folders}
        splits = {head for head in heads if head.lower() in SPLIT_FOLDERS}
        classes = {parts[1] for parts in folders if len(parts) > 1} if splits else heads
        if len(classes) > 1:
            return None if {name.lower() for name in classes} & _NOT_CLASSES or splits not in (set(), heads) else root
        if splits or len(heads) > 1 or masks:
            return None
        root, folders = root / next(iter(heads)), {parts[1:] for parts in folders}
    return None


def read(root: Path, problems: Problems) -> Layout:
    """Read the name of an image's folder below the root, or below train, val or test, as its tag.

    ``masks`` and ``drawn`` have the paths of the images, and ``.png``, as beside a table of tags.

    Folders below that of a class belong to it. Images in folders named like :data:`NEGATIVES`, or ``no_...``, are
    negatives. Images of a split that are in no class folder are in the split ``untagged``.

    Raises:
        InputError: there is no class, or there are too many.
    """
    found = find_image_files(root)
    keys = [path.relative_to(root).as_posix() for path in found.images]
    truth, drawn = (
        MaskFiles(root, folder, [key for key in keys if _top(key) == folder]) for folder in _mask_folders(keys, root)
    )
    of_masks = truth.unused.keys() | drawn.unused.keys()
    images = FoundImages(root, [path for key, path in zip(keys, found.images, strict=True) if key not in of_masks])
    folders = {key: _class_folder(key) for key in images.paths}
    named = sorted({folder for folder in folders.values() if folder})
    negatives = {name for name in named if _is_negative(name, named)}
    classes = tuple(name for name in named if name not in negatives)
    if not classes:
        raise InputError(f"--data {root}: all sub-folders ({', '.join(named)}) are named like images without any class")
    if len(classes) > MAX_CLASSES:
        raise InputError(
            f"--data {root}: {len(classes)} sub-folders, each a class; an 8-bit mask has room for {MAX_CLASSES}; write "
            "tags.csv with the columns file,tags instead"
        )
    _say(classes, sorted(negatives), problems)
    measured, taught = (files.assign(list(images.paths), problems) for files in (truth, drawn))
    records = [
        (
            key,
            TaggedImage(
                images.names[key],
                images.paths[key],
                (classes.index(folder),) if folder in classes else (),
                measured.get(key),
                drawn=taught.get(key),
            ),
        )
        for key, folder in folders.items()
        if folder is not None
    ]
    splits = by_split(records)
    passed_over = (*found.passed_over, *truth.passed_over(), *drawn.passed_over())
    return Layout(classes, with_untagged(splits, images), default_split(splits), passed_over)


def _top(key: str) -> str:
    return key.partition("/")[0]


def _mask_folders(keys: Sequence[str], root: Path) -> tuple[str | None, str | None]:
    """Return the folders at the top that hold ground truth and masks to learn from, where classes lie beside them."""
    truth, drawn = mask_folder(keys, root), drawn_folder(keys, root)
    if truth is not None and not looks_like_masks(truth, keys, root):
        truth = None
    beside = {_top(key) for key in keys} - {truth, drawn}
    return (None, None) if {name.lower() for name in beside} <= _NOT_CLASSES else (truth, drawn)


def _class_folder(key: str) -> str | None:
    """Return the class folder of an image, ``None`` if it lies directly in that of a split."""
    parts = PurePosixPath(key).parent.parts
    if parts and parts[0].lower() in SPLIT_FOLDERS:
        parts = parts[1:]
    return parts[0] if parts else None


def _is_negative(name: str, named: Iterable[str]) -> bool:
    lower = name.lower()
    if lower in NEGATIVES or _NO.fullmatch(lower):
        return True
    without = _NO_CLASS.fullmatch(lower)
    return bool(without and without[2] in {other.lower() for other in named})


def _say(classes: tuple[str, ...], negatives: list[str], problems: Problems) -> None:
    for name in classes:
        problems.taken("sub-folders read as classes", f"{name}/ is the class {name!r}")
        if name.lower() in _DOUBTFUL:
            problems.warn(
                f"the folder {name!r} is read as a class to be found in the images; if it means that no other class is "
                "in them, rename it to 'negative'"
            )
    for name in negatives:
        problems.taken(
            "sub-folders read as images without any class (negatives)", f"{name}/; if it is a class, rename the folder"
        )
