"""VOC's XML annotations and lists of classes, as labelImg, CVAT, Roboflow and VOC itself write them."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from affinitynet.data.layouts.base import read_lines
from affinitynet.errors import InputError, Problems
from affinitynet.records import BACKGROUND, IGNORE, MAX_CLASSES, Box

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

_LISTINGS = ("labels.txt", "labelmap.txt", "classes.txt", "class_names.txt")
_NO_CLASSES = frozenset(("background", "_background_", "__background__", "__ignore__", "ignore", "ignored", "void"))
_BACKGROUNDS = frozenset(("background", "_background_", "__background__"))
_COLOUR = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3})")
_FEW, _MANY, _ALIKE = 1, 50, 0.75  # images of a misspelt class, of the one that was meant; likeness of their names
_ODD = 0.1  # share of images with other names up to which a collection is VOC


@dataclass(frozen=True)
class ClassList:
    """A file that lists the classes.

    Args:
        path: the file.
        names: in the order of their mask values.
        colours: (red, green, blue) -> label value, if it has colours.
    """

    path: Path
    names: tuple[str, ...]
    colours: Mapping[tuple[int, int, int], int]


def read_annotation(path: Path) -> Element:
    """Return the root of an annotation.

    Raises:
        InputError: there is none, or it is not readable XML.
    """
    try:
        top = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation; add it or remove the image from the list") from None
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not a readable annotation ({error}); fix or replace it") from None
    if top is None:
        raise InputError(f"{path}: not a readable annotation (nothing in it); fix or replace it")
    return top


def object_names(annotation: Element) -> frozenset[str]:
    """Return the names of an annotation's objects, difficult ones included."""
    names = (" ".join((element.text or "").split()) for element in annotation.iterfind("object/name"))
    return frozenset(name for name in names if name)


@dataclass(frozen=True)
class AnnotatedBoxes:
    """The boxes of an annotation; VOC counts pixels from 1, and both ends are inside.

    Args:
        file: the XML file.
    """

    file: Path

    def boxes(self) -> tuple[Box, ...]:
        """Return the boxes of the objects that have a name and one.

        Raises:
            InputError: the file or a box in it cannot be read.
        """
        return tuple(self._boxes(read_annotation(self.file)))

    def _boxes(self, annotation: Element) -> Iterator[Box]:
        for element in annotation.iterfind("object"):
            name, box = " ".join(element.findtext("name", "").split()), element.find("bndbox")
            if not name or box is None:
                continue
            try:
                left, top, right, bottom = (float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax"))
            except ValueError:
                raise InputError(f"{self.file}: a box of {name!r} has a side that is not a number; fix it") from None
            if not (math.isfinite(left + top + right + bottom) and left <= right and top <= bottom):
                raise InputError(f"{self.file}: a box of {name!r} is not left to right and top to bottom; fix it")
            yield Box(name, left - 1, top - 1, right, bottom, element.findtext("difficult", "0").strip() == "1")


def read_class_list(root: Path, problems: Problems) -> ClassList | None:
    """Return the classes of ``labels.txt``, ``labelmap.txt`` (CVAT), ``classes.txt`` or ``class_names.txt``.

    The background and what is ignored are not classes. Colours are those of ``labelmap.txt``.

    Raises:
        InputError: the file is not text, has no class, one twice, or too many.
    """
    path = next((root / name for name in _LISTINGS if (root / name).is_file()), None)
    if path is None:
        return None
    labels = _labels(path)
    names = tuple(name for name in labels if name.lower() not in _NO_CLASSES)
    if not names or len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise InputError(f"{path}: has {len(names)} classes; write 1 to {MAX_CLASSES} different names, one per line")
    colours = _colours(root / "labelmap.txt", names, problems) if (root / "labelmap.txt").is_file() else {}
    return ClassList(path, names, colours)


def _labels(path: Path) -> list[str]:
    lines = (line.strip() for line in read_lines(path))
    labels = [line for line in lines if line and not line.startswith("#")]
    return [line.rsplit(":", 3)[0] if path.name == "labelmap.txt" else line for line in labels]


def _colours(path: Path, names: tuple[str, ...], problems: Problems) -> dict[tuple[int, int, int], int]:
    """Return the colours of ``label:red,green,blue:parts:actions``; the classes are in the order of ``names``."""
    colours = {(0, 0, 0): BACKGROUND}
    number = 0
    for place, line in enumerate(map(str.strip, read_lines(path)), start=1):
        if not line or line.startswith("#"):
            continue
        label, *fields = line.rsplit(":", 3)
        no_class = label.lower() in _NO_CLASSES
        number += not no_class
        if not fields or not fields[0]:
            continue
        colour = _COLOUR.fullmatch(fields[0].replace(" ", ""))
        if colour is None or number > len(names):
            raise InputError(f"{path}:{place}: is not 'label:red,green,blue:parts:actions' of a class; fix it")
        value = number if not no_class else BACKGROUND if label.lower() in _BACKGROUNDS else IGNORE
        colours[int(colour[1]), int(colour[2]), int(colour[3])] = value
    return colours


def class_order(
    tagged: Iterable[frozenset[str]],
    listing: ClassList | None,
    root: Path,
    problems: Problems,
    *,
    masked: bool = False,
    voc: bool = True,
) -> tuple[str, ...]:
    """Return the classes in the order of their mask values.

    That is the order of the listing; else of VOC's 20 classes, if the names are among them in nine of ten images, with
    the others after them; else alphabetical.

    Args:
        tagged: the names of each image.
        masked: whether there are masks, whose values depend on the order.
        voc: whether the classes may be meant to be VOC's.

    Raises:
        InputError: there is no class, or there are too many.
    """
    images = [names for names in tagged if names]
    counts = Counter(name for names in images for name in names)
    _warn_of_misspellings(counts, problems)
    if listing is not None:
        return listing.names
    odd = sorted(set(counts) - set(CLASSES))
    if not odd and voc:
        return CLASSES
    classes = tuple(sorted(counts))
    if voc and sum(1 for names in images if names - set(CLASSES)) <= _ODD * len(images):
        classes = (*CLASSES, *odd)
        problems.warn(f"{root}: has classes beside VOC's 20, after which they are numbered: {', '.join(odd[:5])}")
    elif masked:
        problems.warn(
            f"{root}: no file says which mask value is which class; taken in alphabetical order (1 {classes[0]} ...); "
            f"write {_LISTINGS[0]} with one class per line, in the order of their values"
        )
    if not classes:
        raise InputError(f"{root}: no annotation has an object with a name; annotate some images")
    if len(classes) > MAX_CLASSES:
        raise InputError(f"{root}: {len(classes)} classes; an 8-bit mask has room for {MAX_CLASSES}; use fewer")
    return classes


def class_numbers(
    names: frozenset[str], classes: tuple[str, ...], where: Path, listing: ClassList | None
) -> tuple[int, ...]:
    """Return the numbers of the classes of an image.

    Raises:
        InputError: a name is not in the listing.
    """
    if missing := sorted(names - set(classes)):
        listed = listing.path if listing else "the classes"
        raise InputError(f"{where}: {missing[0]!r} is not in {listed}; add it there, or correct it here if misspelt")
    return tuple(sorted(classes.index(name) for name in names))


def _warn_of_misspellings(counts: Mapping[str, int], problems: Problems) -> None:
    common = [name for name, count in counts.items() if count >= _MANY]
    for name, count in counts.items():
        near = difflib.get_close_matches(name, common, n=1, cutoff=_ALIKE) if count <= _FEW else []
        if near:
            problems.warn(
                f"class {name!r} is in {count} image and {near[0]!r} in {counts[near[0]]}: did you mean that? Then "
                "correct the name of the object"
            )
