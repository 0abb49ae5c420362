"""The PASCAL VOC devkit: JPEGImages, Annotations, ImageSets/Segmentation, SegmentationClass."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException, ElementTree

from affinitynet.data.layouts.base import Layout, check_inside, read_lines
from affinitynet.data.truth import PngMask
from affinitynet.errors import InputError, Problems
from affinitynet.records import TaggedImage

FORM = "a VOC devkit (JPEGImages, Annotations, ImageSets)"

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""VOC's 20 classes; their order is that of the mask values."""

_PARTS = ("JPEGImages", "Annotations", "ImageSets")
_MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")


def recognise(folder: Path) -> Path | None:
    """Return the devkit folder that ``folder`` is or holds (``VOCdevkit/VOC2012``), if there is one."""
    candidates = [folder, *sorted(folder.glob("VOC*")), *sorted(folder.glob("VOCdevkit/VOC*"))]
    return next((c for c in candidates if all((c / part).is_dir() for part in _PARTS)), None)


def read(root: Path, problems: Problems) -> Layout:
    """Read every list of ``ImageSets/Segmentation``; tags come from ``Annotations``.

    A line of a list is a bare name, or ``/JPEGImages/NAME.jpg /SegmentationClassAug/NAME.png``.

    Raises:
        InputError: there is no list, or one is not text; and unless ``problems`` records it: a line names
            something outside the folder or missing, or an annotation cannot be read or has an unknown class.
    """
    lists = sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))
    if not lists:
        raise InputError(
            f"{root / 'ImageSets' / 'Segmentation'}: contains no list; add train.txt with one name per line"
        )
    tags: dict[str, tuple[int, ...]] = {}
    splits = {path.stem: tuple(_read_list(root, path, tags, problems)) for path in lists}
    default = next((name for name in ("train_aug", "train") if name in splits), next(iter(splits)))
    return Layout(CLASSES, splits, default)


def _read_list(root: Path, path: Path, tags: dict[str, tuple[int, ...]], problems: Problems) -> list[TaggedImage]:
    """Read one list; ``tags`` caches the annotations read so far."""
    records = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        with problems.noted(Path(fields[0]).stem, "row"):
            image, mask = _resolve(root, fields, f"{path}:{number}")
            if image.stem not in tags:
                tags[image.stem] = _read_tags(root / "Annotations" / f"{image.stem}.xml")
            records.append(TaggedImage(image.stem, image, tags[image.stem], mask))
    return records


def _resolve(root: Path, fields: list[str], where: str) -> tuple[Path, PngMask | None]:
    """Return the image that a line names, and its mask if there is one."""
    paths = [field.removeprefix("/") for field in fields]
    for path in paths:
        check_inside(path, where)
    image = root / (paths[0] if "/" in paths[0] else f"JPEGImages/{paths[0]}.jpg")
    if not image.is_file():
        raise InputError(f"{where}: {image} does not exist; add the image or remove the line")
    masks = [root / path for path in paths[1:]] + [root / folder / f"{image.stem}.png" for folder in _MASK_FOLDERS]
    return image, next((PngMask(mask) for mask in masks if mask.is_file()), None)


def _read_tags(path: Path) -> tuple[int, ...]:
    """Return the class numbers of an annotation's objects, difficult ones included."""
    try:
        names = {(element.text or "").strip() for element in ElementTree.parse(path).iterfind("object/name")}
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation; add it or remove the image from the list") from None
    except (ParseError, DefusedXmlException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable annotation ({error}); fix or replace it") from None
    unknown = names - set(CLASSES)
    if unknown:
        raise InputError(f"{path}: {min(unknown)!r} is not one of VOC's 20 classes; fix the name of the object")
    return tuple(sorted(CLASSES.index(name) for name in names))
