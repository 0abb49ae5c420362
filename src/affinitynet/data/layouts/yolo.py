"""YOLO: a text file per image, a line per object; class names in data.yaml or classes.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from affinitynet.config.config_file import read_yaml
from affinitynet.data.image_files import find_image_files
from affinitynet.data.layouts.base import Layout, read_lines
from affinitynet.data.layouts.found_images import ALL, FoundImages, default_split, split_of, with_untagged
from affinitynet.data.truth import YoloMask, yolo_objects
from affinitynet.errors import InputError, Problems, one_line
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "YOLO (data.yaml or classes.txt, images and labels/NAME.txt)"

_BOX = 4  # coordinates
_SPLITS = ("train", "val", "test")
_CONFIG = "data.yaml"
_NAME_FILES = ("classes.txt", "obj.names")


def recognise(folder: Path) -> Path | None:
    """Return the folder if a yaml file in it has ``names`` and splits, or it has labels and a list of classes."""
    if _config(folder) is not None:
        return folder
    listed = any((folder / name).is_file() for name in (*_NAME_FILES, _CONFIG))
    return folder if listed and next((folder / "labels").rglob("*.txt"), None) else None


def _config(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    for path in (*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml"))):
        try:
            content = read_yaml(path)
        except InputError:
            continue
        if isinstance(content, dict) and "names" in content and any(split in content for split in (*_SPLITS, "valid")):
            return path, content
    return None


@dataclass(frozen=True)
class _Names:
    """The class names, and the file they are from."""

    path: Path
    names: tuple[str, ...]


def read(root: Path, problems: Problems) -> Layout:
    """Read the images of each split of ``data.yaml``, or all of them, with their label files.

    The label file of ``images/a.jpg`` is ``labels/a.txt``, or ``a.txt`` beside it. Polygons are ground truth, boxes
    only tags; an image without label file, or with an empty one, is a negative.

    Raises:
        InputError: the configuration is not as it should be; or a label file, unless ``problems`` records it.
    """
    found = find_image_files(root)
    images = FoundImages(root, found.images)
    config = _config(root)
    names = _names(root, config)
    splits: dict[str, list[str]] = {}
    if config is None:
        for key in images.paths:
            splits.setdefault(split_of(key) or ALL, []).append(key)
    else:
        for split, places in _places(config[1]).items():
            splits[split] = []
            with problems.within(split):
                splits[split] = list(_members(root, config[0], places, images, problems))
    objects = {key: _label_file(key, images) for keys in splits.values() for key in keys}
    reader = _Reader(images, names, objects, problems)
    records = {}
    for split, keys in splits.items():
        with problems.within(split):
            records[split] = tuple(reader.records(keys))
    if not any(record.tags for listed in records.values() for record in listed):
        raise InputError(f"{names.path}: no label file of its images names an object; expected labels/NAME.txt")
    labels = set(objects.values())
    rest = tuple(o for o in found.passed_over if o.path not in labels and o.path != names.path)
    return Layout(names.names, with_untagged(records, images), default_split(records), rest)


def _names(root: Path, config: tuple[Path, dict[str, Any]] | None) -> _Names:
    if config is None:
        path = next((root / name for name in _NAME_FILES if (root / name).is_file()), None)
        if path is None:
            read_yaml(root / _CONFIG)
            raise InputError(f"{root / _CONFIG}: has no names, or none of train, val and test; add them")
        listed: list[Any] = [line.strip() for line in read_lines(path) if line.strip()]
    else:
        path, written = config[0], config[1]["names"]
        if isinstance(written, dict) and set(written) != set(range(len(written))):
            raise InputError(f"{path}: names are not numbered 0, 1, 2 ...; number them so")
        listed = [written[number] for number in range(len(written))] if isinstance(written, dict) else written
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_CLASSES:
        raise InputError(f"{path}: names is not a list of 1 to {MAX_CLASSES} class names; write names: [cat, dog]")
    names = tuple(one_line(name) for name in listed)
    if len(set(names)) < len(names) or not all(names):
        raise InputError(f"{path}: a class name is empty or there twice; give each its own")
    return _Names(path, names)


def _places(config: dict[str, Any]) -> dict[str, list[str]]:
    """Return split -> folders and lists of its images, as they are written."""
    places = {}
    for key in (*_SPLITS, "valid"):
        written = config.get(key)
        listed = written if isinstance(written, list) else [written]
        if texts := [place for place in listed if isinstance(place, str) and place.strip()]:
            places["val" if key == "valid" else key] = texts
    return places


def _members(root: Path, config: Path, places: list[str], images: FoundImages, problems: Problems) -> Iterator[str]:
    """Yield the keys of the images that a split names."""
    for place in places:
        path = _inside(root, place)
        if path is None:
            raise InputError(f"{config}: {place!r} is not in {root}; name a folder or list in it")
        if path.is_dir():
            below = path.relative_to(root).as_posix()
            yield from (key for key in images.paths if below == "." or key.startswith(f"{below}/"))
            continue
        for number, line in enumerate(map(str.strip, read_lines(path)), start=1):
            if line:
                with problems.noted(line, "row"):
                    key = images.find(line, f"{path}:{number}", problems)
                    yield key


def _inside(root: Path, written: str) -> Path | None:
    """Return the folder or list below the root that a place means.

    The root may have had another path when the place was written, and Roboflow writes ``../train/images`` for a
    folder beside the file: the longest end of the place that exists counts.
    """
    parts = [part for part in PurePosixPath(written.strip().replace("\\", "/")).parts if part not in ("/", ".", "..")]
    if not parts:
        return root
    paths = (root.joinpath(*parts[number:]) for number in range(len(parts)))
    return next((path for path in paths if path.exists()), None)


def _label_file(key: str, images: FoundImages) -> Path:
    """Return where an image's label file is, or would be."""
    parts = list(PurePosixPath(key).with_suffix(".txt").parts)
    beside = images.root.joinpath(*parts)
    for number in range(len(parts) - 2, -1, -1):
        if parts[number].lower() in ("images", "jpegimages"):
            labels = images.root.joinpath(*parts[:number], "labels", *parts[number + 1 :])
            return labels if labels.is_file() or not beside.is_file() else beside
    labels = images.root.joinpath("labels", *parts)
    return labels if labels.is_file() else beside


class _Reader:
    """Reads label files, each once."""

    def __init__(self, images: FoundImages, names: _Names, files: dict[str, Path], problems: Problems) -> None:
        self._images, self._names, self._files, self._problems = images, names, files, problems
        self._polygons = False
        self._objects = {key: self._read(key, path) for key, path in files.items()}

    def _read(self, key: str, path: Path) -> tuple[frozenset[int], bool] | InputError:
        """Return the classes of a file, and whether all are polygons; an error where it cannot be read."""
        try:
            objects = yolo_objects(path, len(self._names.names)) if path.is_file() else []
        except InputError as error:
            return error
        polygons = [len(coordinates) > _BOX for _, coordinates in objects]
        self._polygons |= any(polygons)
        if not objects:
            self._problems.taken("images without objects, used as negatives (none of the classes)", key)
        elif not all(polygons):
            self._problems.taken("images with boxes, used without ground truth", key)
        return frozenset(number for number, _ in objects), all(polygons)

    def records(self, keys: list[str]) -> Iterator[TaggedImage]:
        for key in dict.fromkeys(keys):
            record = None
            with self._problems.noted(key, "row"):
                record = self._record(key)
            if record is not None:
                yield record

    def _record(self, key: str) -> TaggedImage:
        found = self._objects[key]
        if isinstance(found, InputError):
            raise found
        classes, polygons = found
        truth = YoloMask(self._files[key], len(self._names.names)) if self._polygons and polygons else None
        return TaggedImage(self._images.names[key], self._images.paths[key], tuple(sorted(classes)), truth)
