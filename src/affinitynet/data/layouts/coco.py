"""COCO instances: JSON files that list images, categories and the objects with their outlines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from affinitynet.data.coco_file import CocoFile, CocoImage, is_coco, read_coco
from affinitynet.data.image_files import ImageFiles, PassedOver, find_image_files
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.found_images import ALL, SPLIT_FOLDERS, FoundImages, default_split, with_untagged
from affinitynet.data.truth import AnnotationSpans, CocoMask
from affinitynet.errors import InputError, Problems
from affinitynet.records import IGNORE, MAX_CLASSES, TaggedImage

FORM = "COCO JSON (annotations/NAME.json or NAME.json with images, annotations, categories)"

_ANNOTATIONS = "annotations"
_INSTANCES = "instances_"
_GENERAL = (
    "annotations",
    "_annotations",
    "coco",
    "_annotations.coco",
    "annotations.coco",
    "result",
    "labels",
    "instances",
)
_NOT_COCO = frozenset(("tags.json", "config.json", "package.json"))


def recognise(folder: Path) -> Path | None:
    """Return the folder if a JSON file in it, in ``annotations`` or in the folder of a split is COCO's."""
    return folder if next(_coco_files(folder), None) else None


def _coco_files(folder: Path) -> Iterator[Path]:
    for place in (folder / _ANNOTATIONS, folder, *_split_folders(folder)):
        for path in sorted(place.glob("*.json")):
            if path.name not in _NOT_COCO and path.is_file() and is_coco(path):
                yield path


def _split_folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in SPLIT_FOLDERS)
    except OSError:
        return []


def read(root: Path, problems: Problems) -> Layout:
    """Read every COCO file; each is a split.

    An image's tags are the categories of its annotations, crowds included; an image without annotations is a
    negative. Classes are in the order of the categories' ids; a category without annotations is not a class.
    Images that no file lists are in the split ``untagged``.

    Raises:
        InputError: a file is wrong as a whole; or a part of it, unless ``problems`` records it.
    """
    paths = list(_coco_files(root))
    if any(path.name.startswith(_INSTANCES) for path in paths):
        paths = [path for path in paths if path.name.startswith(_INSTANCES)]
    found = find_image_files(root)
    images = FoundImages(root, (path for path in found.images if not _is_annotation(root, path)))
    files: dict[str, CocoFile] = {}
    for path in paths:
        split = _split_name(root, path, files)
        with problems.within(split):
            files[split] = read_coco(path)
    if not files:
        raise InputError(f"{root}: none of its COCO files can be read; export them again")
    classes = _classes(files, problems)
    splits = {}
    for split, file in files.items():
        with problems.within(split):
            splits[split] = _Records(file, images, _near(root, split, file), classes).read(problems)
    outlined = sum(int(file.outlined.sum()) for file in files.values())
    boxes = sum(file.boxes for file in files.values())
    if outlined and boxes > outlined / 2:
        problems.warn(
            f"{boxes} of {outlined} outlines are upright rectangles: boxes, not objects; what is measured against them "
            "says little about masks"
        )
    return Layout(classes, with_untagged(splits, images), default_split(splits), _passed_over(root, found, paths))


def _split_name(root: Path, path: Path, taken: dict[str, CocoFile]) -> str:
    """Return the split of a file: its own name, or that of its folder where its own says nothing."""
    name = path.stem.removeprefix(_INSTANCES)
    if name.lower() in _GENERAL:
        name = ALL if path.parent in (root, root / _ANNOTATIONS) else path.parent.name
    return name if name not in taken else path.relative_to(root).with_suffix("").as_posix().replace("/", "_")


def _classes(files: dict[str, CocoFile], problems: Problems) -> tuple[str, ...]:
    """Return the names of all categories that have annotations, by their ids."""
    used: dict[str, None] = {}
    for file in files.values():
        counts = np.bincount(file.category, minlength=len(file.categories))
        order = sorted(range(len(file.categories)), key=lambda number: _sortable(file.category_ids[number]))
        for number in order:
            name = file.categories[number]
            if name is not None and counts[number]:
                used[name] = None
    for name in dict.fromkeys(name for file in files.values() for name in file.categories if name):
        if name not in used:
            problems.taken("categories without annotations, which are not classes", name)
    if not used:
        raise InputError(f"{next(iter(files.values())).path}: no annotation has a category; annotate some images")
    if len(used) > MAX_CLASSES:
        raise InputError(
            f"{next(iter(files.values())).path}: {len(used)} categories are in use; an 8-bit mask has room for "
            f"{MAX_CLASSES}; use fewer"
        )
    return tuple(used)


def _sortable(key: int | str) -> tuple[bool, int, str]:
    return (isinstance(key, str), key if isinstance(key, int) else 0, str(key))


class _Records:
    """The images of a COCO file, matched with the image files there are."""

    def __init__(self, file: CocoFile, images: FoundImages, near: list[str], classes: tuple[str, ...]) -> None:
        self._file, self._images, self._near = file, images, near
        self._values = np.array([classes.index(name) if name in classes else -1 for name in file.categories], np.int64)
        order = np.argsort(file.image, kind="stable")
        self._first = np.searchsorted(file.image[order], np.arange(len(file.images) + 1))
        self._categories, self._outlined = file.category[order], file.outlined[order]
        labels = np.where(file.crowd[order], IGNORE, self._values[self._categories] + 1).astype(np.uint8)
        self._spans = AnnotationSpans(file.path, self._first, file.starts[order], file.lengths[order], labels)
        self._masked = bool(file.outlined.any())
        self._seen: dict[str, str] = {}

    def read(self, problems: Problems) -> tuple[TaggedImage, ...]:
        for name, reason in self._file.wrong:
            with problems.noted(name, "row"):
                raise InputError(reason)
        records = []
        for number, image in enumerate(self._file.images):
            with problems.noted(image.file_name if image else f"image {self._file.image_ids[number]}", "row"):
                records.append(self._record(number, image, problems))
        return tuple(records)

    def _record(self, number: int, image: CocoImage | None, problems: Problems) -> TaggedImage:
        path, here = self._file.path, slice(self._first[number], self._first[number + 1])
        if image is None:
            raise InputError(
                f"{path}: {here.stop - here.start} annotations are of image {self._file.image_ids[number]!r}, which it "
                "does not list; add the image or remove them"
            )
        tags = self._tags(image.file_name, self._categories[here])
        key = self._images.find(image.file_name, str(path), problems, self._near)
        if key in self._seen:
            raise InputError(f"{path}: {image.file_name!r} and {self._seen[key]!r} are one image; keep one entry")
        self._seen[key] = image.file_name
        whole = self._masked and bool(self._outlined[here].all())
        if here.start == here.stop:
            problems.taken("images without annotations, used as negatives (none of the classes)", image.file_name)
        elif self._masked and not whole:
            problems.taken("images with objects that have no outline, used without ground truth", image.file_name)
        return TaggedImage(
            self._images.names[key],
            self._images.paths[key],
            tags,
            CocoMask(self._spans, number, image.size) if whole else None,
        )

    def _tags(self, name: str, categories: np.ndarray) -> tuple[int, ...]:
        numbers = set(categories.tolist())
        for number in numbers:
            if self._file.categories[number] is None:
                raise InputError(
                    f"{self._file.path}: {name!r} has an annotation of category {self._file.category_ids[number]!r}, "
                    "which it does not list; add the category or fix the annotation"
                )
        return tuple(sorted({int(self._values[number]) for number in numbers}))


def _near(root: Path, split: str, file: CocoFile) -> list[str]:
    """Return the folders where a file's images may be, the likeliest first."""
    parent = file.path.parent.relative_to(root).as_posix()
    folders = (f"images/{split}", split, "images", f"{parent}/images", f"{parent}/{split}", parent)
    return [folder.removeprefix("./") for folder in folders if folder != "."]


def _is_annotation(root: Path, path: Path) -> bool:
    """Return whether a picture is one of the masks that COCO keeps in ``annotations`` (panoptic, stuff)."""
    return path.relative_to(root).parts[0] == _ANNOTATIONS


def _passed_over(root: Path, found: ImageFiles, paths: list[Path]) -> tuple[PassedOver, ...]:
    masks = (PassedOver(path, "a picture in annotations") for path in found.images if _is_annotation(root, path))
    return (*(other for other in found.passed_over if other.path not in paths), *masks)
