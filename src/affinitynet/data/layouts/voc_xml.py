"""VOC's XML annotations without a devkit, beside the images or in a folder of their own (labelImg, Roboflow)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from affinitynet.data.image_files import find_image_files
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.found_images import ALL, FoundImages, default_split, split_of, with_untagged
from affinitynet.data.layouts.voc_annotations import (
    class_numbers,
    class_order,
    object_names,
    read_annotation,
    read_class_list,
)
from affinitynet.errors import InputError, Problems
from affinitynet.records import TaggedImage

FORM = "VOC's XML annotations beside the images or in a folder annotations"

_LOOKED_AT = 5  # files, to find out what XML files are
_HEAD = 4096  # bytes
_ROOT = re.compile(rb"<annotation[\s>]")
_IMAGE_FOLDERS = ("images", "JPEGImages", "Images", "image", "img", "")


def recognise(folder: Path) -> Path | None:
    """Return the folder if there are annotations of VOC's form in it or at most two folders below."""
    found = chain.from_iterable(folder.glob(pattern) for pattern in ("*.xml", "*/*.xml", "*/*/*.xml"))
    return folder if any(_is_annotation(path) for path in islice(found, _LOOKED_AT)) else None


def _is_annotation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_ROOT.search(file.read(_HEAD)))
    except OSError:
        return False


def read(root: Path, problems: Problems) -> Layout:
    """Read every XML file; its image is the one of the same name, beside it or in the folder of the images.

    Splits are the folders called train, val or test, however deep; images without annotation are in ``untagged``.

    Raises:
        InputError: no image is annotated; and unless ``problems`` records it: an annotation cannot be read, or has no
            image.
    """
    found = find_image_files(root)
    images = FoundImages(root, found.images)
    annotations = [other.path for other in found.passed_over if other.path.suffix.lower() == ".xml"]
    listing = read_class_list(root, problems)
    read_names: dict[str, tuple[Path, frozenset[str]]] = {}
    for path in annotations:
        with problems.within(_split(root, path)), problems.noted(path.name, "row"):
            key, names = _read(path, images, problems)
            if key in read_names:
                raise InputError(f"{path}: {key} has another annotation, {read_names[key][0]}; keep one")
            read_names[key] = (path, names)
    classes = class_order((names for _, names in read_names.values()), listing, root, problems, voc=False)
    splits: dict[str, list[TaggedImage]] = {}
    for key, (path, names) in read_names.items():
        split = _split(root, images.paths[key])
        with problems.within(split), problems.noted(path.name, "row"):
            tags = class_numbers(names, classes, path, listing)
            splits.setdefault(split, []).append(TaggedImage(images.names[key], images.paths[key], tags))
    if not splits:
        raise InputError(f"{root}: no annotation has an image; add the images")
    whole = {name: tuple(records) for name, records in splits.items()}
    used = {*annotations, listing.path if listing else None}
    rest = tuple(other for other in found.passed_over if other.path not in used)
    return Layout(classes, with_untagged(whole, images), default_split(whole), rest)


def _split(root: Path, path: Path) -> str:
    return split_of(path.relative_to(root).as_posix()) or ALL


def _read(path: Path, images: FoundImages, problems: Problems) -> tuple[str, frozenset[str]]:
    """Return the key of the image of an annotation, and the names of its objects."""
    annotation = read_annotation(path)
    if annotation.tag != "annotation":
        raise InputError(f"{path}: is not an annotation of VOC's form, but <{annotation.tag}>; move it elsewhere")
    written = " ".join((annotation.findtext("filename") or "").split())
    folder = path.parent.relative_to(images.root).as_posix()
    found = images.stem(path.stem, [*_folders("" if folder == "." else folder), "**"])
    if len(found) > 1:
        found = [key for key in found if PurePosixPath(key).name == PurePosixPath(written).name]
    if len(found) == 1:
        return found[0], object_names(annotation)
    return images.find(written or path.stem, str(path), problems), object_names(annotation)


def _folders(folder: str) -> Iterator[str]:
    """Yield where the images of a folder of annotations may be: there, or in a sister folder that is named so."""
    yield folder
    parts = folder.split("/") if folder else []
    for number in range(len(parts) - 1, -1, -1):
        for name in _IMAGE_FOLDERS:
            yield "/".join(part for part in (*parts[:number], name, *parts[number + 1 :]) if part)
