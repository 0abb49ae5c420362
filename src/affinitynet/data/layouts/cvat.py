"""CVAT for images: one XML file with tags, outlines and masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from affinitynet.data.image_files import find_image_files
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.found_images import ALL, FoundImages, default_split, split_of, with_untagged
from affinitynet.data.regions import corners, ellipse_outline
from affinitynet.data.truth import Shape, ShapesMask
from affinitynet.errors import InputError, Problems
from affinitynet.records import MAX_CLASSES, TaggedImage

FORM = "CVAT for images (annotations.xml)"

_HEAD = 4096  # bytes
_ROOT = re.compile(rb"<annotations[\s>]")
_OUTLINES = ("polygon", "mask", "ellipse")
_OTHERS = ("box", "polyline", "points", "cuboid", "skeleton")


def recognise(folder: Path) -> Path | None:
    """Return the folder if one of its XML files is CVAT's."""
    return folder if _file(folder) else None


def _file(folder: Path) -> Path | None:
    for path in sorted(folder.glob("*.xml")):
        try:
            with path.open("rb") as file:
                if _ROOT.search(file.read(_HEAD)):
                    return path
        except OSError:
            continue
    return None


@dataclass
class _Image:
    """An image of the file.

    Args:
        name: as written.
        subset: the split that it names, or "".
        size: (H, W), if it says so.
        labels: of its tags and shapes.
        shapes: (z-order, label, shape); the label value is set later.
        outlined: whether everything in it has an outline.
        wrong: what is wrong with it, or "".
    """

    name: str
    subset: str
    size: tuple[int, int] | None
    labels: set[str] = field(default_factory=set)
    shapes: list[tuple[int, str, Shape]] = field(default_factory=list)
    outlined: bool = True
    wrong: str = ""


def read(root: Path, problems: Problems) -> Layout:
    """Read the images of ``annotations.xml``; tags come from its tags and all its shapes.

    An image has ground truth if all that is tagged in it has a polygon, mask or ellipse; the z-order says what lies
    on top. An image with nothing is a negative. Classes are in the order of the task's labels, else alphabetical.

    Raises:
        InputError: the file cannot be read, or has no image or label; or one of its images, unless ``problems``
            records it.
    """
    path = _file(root)
    if path is None:
        raise InputError(f"{root}: annotations.xml is no longer there")
    labels: list[str] = []
    annotated = list(_images(path, labels))
    found = find_image_files(root)
    files = FoundImages(root, found.images)
    used = {label for image in annotated for label in image.labels}
    classes = tuple(label for label in dict.fromkeys(labels) if label in used) or ()
    classes = (*classes, *sorted(used - set(classes)))
    if not 0 < len(classes) <= MAX_CLASSES:
        raise InputError(f"{path}: has {len(classes)} labels in use; annotate with 1 to {MAX_CLASSES}")
    for label in dict.fromkeys(labels):
        if label not in used:
            problems.taken("labels that are not used, which are not classes", label)
    masked = any(image.shapes for image in annotated)
    splits: dict[str, list[TaggedImage]] = {}
    seen: set[str] = set()
    for image in annotated:
        split = image.subset or split_of(image.name.replace("\\", "/")) or ALL
        with problems.within(split), problems.noted(image.name, "row"):
            record = _record(image, path, files, classes, masked, problems)
            if record.name in seen:
                raise InputError(f"{path}: image {image.name!r} is there twice; keep one")
            seen.add(record.name)
            splits.setdefault(split, []).append(record)
    if not splits:
        raise InputError(f"{path}: lists no images that exist; add them, or export CVAT for images with them")
    whole = {name: tuple(records) for name, records in splits.items()}
    rest = tuple(other for other in found.passed_over if other.path != path)
    return Layout(classes, with_untagged(whole, files), default_split(whole), rest)


def _record(
    image: _Image, path: Path, files: FoundImages, classes: tuple[str, ...], masked: bool, problems: Problems
) -> TaggedImage:
    if image.wrong:
        raise InputError(f"{path}: image {image.name!r}: {image.wrong}; fix or remove it")
    key = files.find(image.name, str(path), problems, _near(image.subset))
    if not image.labels:
        problems.taken("images without tags and shapes, used as negatives (none of the classes)", image.name)
    truth = None
    if masked and image.outlined and image.labels == {label for _, label, _ in image.shapes}:
        ordered = sorted(image.shapes, key=lambda shape: shape[0])
        shapes = [Shape(classes.index(name) + 1, shape.kind, shape.numbers, shape.box) for _, name, shape in ordered]
        truth = ShapesMask(path, tuple(shapes), image.size)
    tags = tuple(sorted(classes.index(label) for label in image.labels))
    return TaggedImage(files.names[key], files.paths[key], tags, truth)


def _near(subset: str) -> list[str]:
    return [f"images/{subset}", subset, "images"] if subset else ["images"]


def _images(path: Path, labels: list[str]) -> Iterator[_Image]:
    """Yield the images of a file, forgetting each as it is left; the labels of the task are added to ``labels``."""
    try:
        events = ElementTree.iterparse(path, events=("start", "end"))
        _, top = next(events)
        if top.tag != "annotations":
            raise InputError(f"{path}: is not CVAT's, but <{top.tag}>; export CVAT for images")
        for event, element in events:
            if event == "start":
                continue
            if element.tag == "track":
                raise InputError(f"{path}: is CVAT for video; export CVAT for images, with the images")
            if element.tag == "label" and element.find("name") is not None:
                labels.append(" ".join((element.findtext("name") or "").split()))
            if element.tag == "image":
                yield _image(element)
                top.clear()
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable XML ({error}); export it again") from None


def _image(element: Element) -> _Image:
    size = (_whole(element, "height"), _whole(element, "width"))
    image = _Image(element.get("name", ""), element.get("subset", ""), size if min(size) > 0 else None)
    for child in element:
        label = " ".join(child.get("label", "").split())
        if not label or child.tag not in ("tag", *_OUTLINES, *_OTHERS):
            continue
        image.labels.add(label)
        image.outlined &= child.tag not in _OTHERS
        if child.tag in _OUTLINES:
            try:
                image.shapes.append((_whole(child, "z_order"), label, _shape(child)))
            except InputError as error:
                image.wrong = f"{child.tag} of {label!r}: {error}"
    return image


def _shape(element: Element) -> Shape:
    if element.tag == "mask":
        left, top, width, height = (_whole(element, key) for key in ("left", "top", "width", "height"))
        return Shape(0, "runs", _numbers(element.get("rle", "")).astype(np.int64), (left, top, width, height))
    if element.tag == "ellipse":
        cx, cy, rx, ry = (_number(element, key) for key in ("cx", "cy", "rx", "ry"))
        return Shape(0, "polygon", corners(ellipse_outline((cx, cy), (rx, ry)).ravel()))
    return Shape(0, "polygon", corners(_numbers(element.get("points", "").replace(";", ","))))


def _numbers(text: str) -> np.ndarray:
    try:
        return np.array([float(part) for part in text.split(",") if part.strip()], np.float64)
    except ValueError:
        raise InputError("has something that is not a number") from None


def _number(element: Element, key: str) -> float:
    (number,) = _numbers(element.get(key, "nan"))[:1]
    return float(number)


def _whole(element: Element, key: str) -> int:
    text = element.get(key, "0").strip()
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0
