"""The PASCAL VOC devkit: JPEGImages, Annotations, ImageSets, SegmentationClass; with VOC's classes or other ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from affinitynet.data.image_files import PassedOver, find_image_files
from affinitynet.data.layouts.base import Layout, check_inside, read_lines
from affinitynet.data.layouts.found_images import ALL, FoundImages, default_split
from affinitynet.data.layouts.voc_annotations import (
    CLASSES,
    AnnotatedBoxes,
    ClassList,
    class_numbers,
    class_order,
    object_names,
    read_annotation,
    read_class_list,
)
from affinitynet.data.truth import ColourMask, PngMask, upright_labels
from affinitynet.errors import InputError, Problems
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage

__all__ = ["CLASSES", "FORM", "read", "recognise"]

FORM = "a VOC devkit (JPEGImages with Annotations or SegmentationClass, ImageSets)"

IMAGES = "JPEGImages"
_MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
_PARTS = ("Annotations", "ImageSets", *_MASK_FOLDERS)
_TASKS = ("Segmentation", "Main", "Layout", "")
_TAG = re.compile(r"(.+?)\s+(-1|0|1)")


def recognise(folder: Path) -> Path | None:
    """Return the devkit folder that ``folder`` is or holds (``VOCdevkit/VOC2012``), if there is one."""
    candidates = [folder, *sorted(folder.glob("VOC*")), *sorted(folder.glob("VOCdevkit/VOC*"))]
    return next((c for c in candidates if (c / IMAGES).is_dir() and any((c / part).is_dir() for part in _PARTS)), None)


@dataclass(frozen=True)
class _Entry:
    """An image that a list names.

    Args:
        name: artifact name.
        image: the file.
        where: what says which classes it has, for errors.
        names: of its classes; ``None`` where only its mask says it.
        mask: its ground truth, if there is any.
    """

    name: str
    image: Path
    where: Path
    names: frozenset[str] | None
    mask: PngMask | ColourMask | None


def read(root: Path, problems: Problems) -> Layout:
    """Read every list of ``ImageSets/Segmentation``, else of ``ImageSets/Main``; without lists, all annotated images.

    A line of a list is a name below JPEGImages with or without suffix, or
    ``/JPEGImages/NAME.jpg /SegmentationClassAug/NAME.png``. Tags come from ``Annotations``; where there is no such
    folder from ``ImageSets/Main/CLASS_SPLIT.txt``, else from the masks.

    Raises:
        InputError: there is nothing to read; and unless ``problems`` records it: a list is not text, a line names
            something outside the folder or missing, or an annotation cannot be read.
    """
    devkit = _Devkit(root, problems)
    entries: dict[str, list[_Entry]] = {}
    for path in devkit.lists:
        entries[path.stem] = []
        with problems.within(path.stem):
            entries[path.stem] = list(devkit.listed(path))
    if not devkit.lists:
        entries = {ALL: list(devkit.annotated())}
    every = {entry.name: entry for listed in entries.values() for entry in listed}.values()
    masked = any(entry.mask for entry in every)
    classes = class_order((e.names for e in every if e.names), devkit.listing, root, problems, masked=masked)
    splits = {}
    for split, listed in entries.items():
        with problems.within(split):
            splits[split] = tuple(devkit.records(listed, classes))
    default = next((name for name in ("train_aug", "train") if name in splits), default_split(splits))
    return Layout(classes, splits, default, devkit.passed_over)


class _Devkit:
    """The files of a devkit."""

    def __init__(self, root: Path, problems: Problems) -> None:
        self._root, self._problems = root, problems
        found = find_image_files(root / IMAGES)
        self.passed_over: tuple[PassedOver, ...] = found.passed_over
        self._images = FoundImages(root / IMAGES, found.images)
        self._by_name: dict[str, list[str]] = {}
        for key in self._images.paths:
            self._by_name.setdefault(_stem(key), []).append(key)
        self.listing: ClassList | None = read_class_list(root, problems)
        self._annotated = next((root / "Annotations").rglob("*.xml"), None) is not None
        self._names: dict[str, frozenset[str]] = {}
        self._paths: dict[str, Path] = {}
        self.lists, self._tags = self._read_image_sets()
        if not self._annotated and not self._tags and self.listing is None:
            raise InputError(
                f"{root}: has no annotation, and no file that says which mask value is which class; write labels.txt "
                "with one class per line, in the order of their values"
            )

    def _read_image_sets(self) -> tuple[list[Path], dict[str, set[str]]]:
        """Return the lists of images, and image name -> classes according to the lists of a class."""
        sets: list[Path] = []
        tags: dict[str, set[str]] = {}
        for task in _TASKS:
            if sets and self._annotated:
                break
            for path in sorted((self._root / "ImageSets" / task).glob("*.txt")):
                rows = _class_rows(path)
                if rows is None:
                    sets.append(path)
                elif not self._annotated:
                    name = self._listed_name(path.stem.rpartition("_")[0])
                    for image, value in rows:
                        tags.setdefault(image, set()).update({name} if value == "1" else ())
        first = sets[0].parent if sets else None
        return [path for path in sets if path.parent == first], tags

    def _listed_name(self, safe: str) -> str:
        """Return the class whose name was made ``safe`` for a file's name."""
        names = self.listing.names if self.listing else ()
        return next((name for name in names if _file_safe(name) == _file_safe(safe)), safe)

    def listed(self, path: Path) -> Iterator[_Entry]:
        """Yield what the lines of a list name, each image once."""
        seen: set[str] = set()
        for number, line in enumerate(map(str.strip, read_lines(path)), start=1):
            if not line:
                continue
            where = f"{path}:{number}"
            entry = None
            with self._problems.noted(_short(line), "row"):
                entry = self._entry(*self._resolve(line, where), where)
            if entry is None:
                continue
            if entry.name in seen:
                self._problems.taken("repeated lines of lists, used once", f"{path.name}:{number}: {line}")
                continue
            seen.add(entry.name)
            yield entry

    def annotated(self) -> Iterator[_Entry]:
        """Yield all images that have an annotation, or a mask where there are no annotations."""
        for key, path in self._images.paths.items():
            if self._xml(key).is_file() or not self._annotated:
                entry = None
                with self._problems.noted(_stem(key), "row"):
                    entry = self._entry(path, None, str(path))
                if entry is not None:
                    yield entry

    def records(self, entries: list[_Entry], classes: tuple[str, ...]) -> Iterator[TaggedImage]:
        for entry in entries:
            tags = None
            with self._problems.noted(entry.name, "row"):
                tags = self._class_numbers(entry, classes)
            if tags is not None:
                boxes = AnnotatedBoxes(self._xml(entry.name)) if self._annotated else None
                yield TaggedImage(entry.name, entry.image, tags, entry.mask, boxes=boxes)

    def _class_numbers(self, entry: _Entry, classes: tuple[str, ...]) -> tuple[int, ...]:
        if entry.names is not None:
            return class_numbers(entry.names, classes, entry.where, self.listing)
        if entry.mask is None:
            raise InputError(f"{entry.image}: has neither an annotation nor a mask; add one or remove it from the list")
        values = np.unique(upright_labels(entry.mask, entry.image)).tolist()
        tags = tuple(value - 1 for value in values if value not in (BACKGROUND, IGNORE))
        if tags and tags[-1] >= len(classes):
            raise InputError(
                f"{entry.mask}: contains value {tags[-1] + 1}, but there are {len(classes)} classes; fix it"
            )
        self._problems.taken("images without annotation, tagged by their masks", entry.name)
        return tags

    def _resolve(self, line: str, where: str) -> tuple[Path, Path | None]:
        """Return the image that a line names, and the mask if it names one."""
        if found := self._image(line, where):
            return found, None
        for image, mask in _two_fields(line):
            if found := self._image(image, where):
                check_inside(mask, where)
                if (self._root / mask).is_file() or "/" in mask:
                    return found, self._root / mask
        fields = [field.removeprefix("/") for field in line.split()]
        for field in fields:
            check_inside(field, where)
        name = fields[0] if len(fields) > 1 and "/" in fields[0] else line.removeprefix("/")
        found_alike = self._alike(name.removeprefix(f"{IMAGES}/"), where)
        if found_alike is None:
            path = self._root / name if "/" in name else self._root / IMAGES / f"{name}{_suffix(name)}"
            raise InputError(f"{where}: {path} does not exist; add the image or remove the line")
        return found_alike, None

    def _image(self, name: str, where: str) -> Path | None:
        """Return the image of exactly this name, with or without suffix and folder."""
        below = name.removeprefix("/").removeprefix(f"{IMAGES}/")
        if below in self._images.paths:
            return self._images.paths[below]
        found = self._by_name.get(below, [])
        jpeg = [key for key in found if key.endswith(".jpg")]
        if len(found) > 1 and not jpeg:
            raise InputError(f"{where}: {name!r} may be {' or '.join(sorted(found))}; write it with its suffix")
        if found:
            return self._images.paths[(jpeg or found)[0]]
        inside = self._root / name.removeprefix("/")
        if "/" in name and ".." not in name.split("/") and inside.is_file():
            return inside
        return None

    def _alike(self, name: str, where: str) -> Path | None:
        try:
            return self._images.paths[self._images.find(name, where, self._problems)]
        except InputError as error:
            if "may be" in str(error):
                raise
            return None

    def _entry(self, image: Path, mask: Path | None, where: str) -> _Entry:
        name = self._name(image, where)
        xml = self._xml(name)
        if self._annotated:
            if name not in self._names:
                self._names[name] = object_names(read_annotation(xml))
            names: frozenset[str] | None = self._names[name]
        else:
            names = frozenset(self._tags[name]) if name in self._tags else None
        masks = [mask] if mask else []
        masks += [self._own(folder, name, ".png") for folder in _MASK_FOLDERS]
        truth = next((self._truth(path) for path in masks if path.is_file()), None)
        return _Entry(name, image, xml, names, truth)

    def _name(self, image: Path, where: str) -> str:
        """Return the artifact name: the path below JPEGImages without suffix."""
        folder = self._root / IMAGES
        name = _stem(image.relative_to(folder if image.is_relative_to(folder) else self._root).as_posix())
        if self._paths.setdefault(name, image) != image:
            raise InputError(
                f"{where}: {image} and {self._paths[name]} have the same name but for the suffix; rename one"
            )
        return name

    def _xml(self, key: str) -> Path:
        return self._own("Annotations", _stem(key) if key in self._images.paths else key, ".xml")

    def _own(self, folder: str, name: str, suffix: str) -> Path:
        """Return an image's file in another folder: at the same path there, or by its name if only it has that."""
        path = self._root / folder / f"{name}{suffix}"
        short = PurePosixPath(name).name
        if short != name and not path.is_file() and short not in self._by_name:
            return self._root / folder / f"{short}{suffix}"
        return path

    def _truth(self, path: Path) -> PngMask | ColourMask:
        if self.listing is not None and self.listing.colours:
            return ColourMask(path, self.listing.colours, self.listing.path.with_name("labelmap.txt"))
        return PngMask(path)


def _class_rows(path: Path) -> list[tuple[str, str]] | None:
    """Return (image, 1, 0 or -1) of a list ``CLASS_SPLIT.txt``; ``None`` if it is a list of images."""
    if "_" not in path.stem:
        return None
    try:
        lines = [line.strip() for line in read_lines(path) if line.strip()]
    except InputError:
        return None
    found = [match for line in lines if (match := _TAG.fullmatch(line))]
    return [(match[1], match[2]) for match in found] if found and len(found) == len(lines) else None


def _two_fields(line: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to divide a line at a blank into an image and a mask, the longest image first."""
    for blank in reversed(list(re.finditer(r"\s+", line))):
        yield line[: blank.start()], line[blank.end() :].removeprefix("/")


def _stem(key: str) -> str:
    return PurePosixPath(key).with_suffix("").as_posix()


def _suffix(name: str) -> str:
    return "" if PurePosixPath(name).suffix.lower() in (".jpg", ".jpeg", ".png") else ".jpg"


def _short(line: str) -> str:
    """Return the name of the image that a line is about, for the list of what was skipped."""
    fields = line.split()
    two = len(fields) == 2 and "/" in fields[1]
    return PurePosixPath(fields[0] if two else line).stem


def _file_safe(name: str) -> str:
    return re.sub(r"[^\w]", "_", name)
