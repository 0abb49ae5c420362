"""Ground truth of an image, in the forms that collections have it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.data.layouts.base import read_lines
from affinitynet.data.masks import SizeError, load_colours, load_mask
from affinitynet.data.pixels import Frame, read_frame, turned
from affinitynet.data.regions import coco_region, polygon_region, runs_region
from affinitynet.errors import InputError, Problems
from affinitynet.records import BACKGROUND, IGNORE, GroundTruth

_TURNED = "masks drawn on the photograph as it is stored, which EXIF turns; they were turned with it"
_EITHER = "masks of photographs that EXIF turns, which fit either way; they were taken as drawn on the turned one"


def upright_labels(truth: GroundTruth, image: Path, problems: Problems | None = None) -> np.ndarray:
    """Return the stored label values uint8 [H, W] of ground truth, as the upright image is seen.

    Some tools draw on a photograph as EXIF wants it to be shown, others on it as it is stored; the size tells which.

    Args:
        image: the image file.
        problems: takes note of masks that were turned, or could be.

    Raises:
        InputError: the ground truth cannot be read or does not fit the image.
    """
    frame = read_frame(image)
    try:
        labels = truth.labels(frame.size)
    except SizeError as error:
        if frame.orientation == 1:
            raise
        labels, rule = turned(_as_stored(truth, frame, error), frame.orientation), _TURNED
    else:
        rule = _EITHER if frame.orientation != 1 and frame.size == frame.stored else ""
    if problems is not None and rule:
        problems.taken(rule, str(truth))
    return labels


def _as_stored(truth: GroundTruth, frame: Frame, error: SizeError) -> np.ndarray:
    try:
        return truth.labels(frame.stored)
    except SizeError:
        height, width = frame.stored
        raise InputError(f"{error} (the photograph is turned by EXIF; it is stored as {width} x {height})") from None


@dataclass(frozen=True)
class PngMask:
    """A mask that somebody drew, in a file of its own.

    Args:
        file: PNG, TIFF ..., see :func:`load_mask`.

    Example:
        >>> str(PngMask(Path("masks/a.png")))
        'masks/a.png'
    """

    file: Path

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the stored label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file is missing, or has the wrong format or size.
        """
        return load_mask(self.file, size)


@dataclass(frozen=True)
class CorrectedMask:
    """A mask of the review, or one that came back from another tool.

    Args:
        file: the PNG.
        meant: class names that its values stand for, value 1 first.
        classes: those of the collection.
    """

    file: Path
    meant: tuple[str, ...]
    classes: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the mask uint8 [H, W] of an image of ``size`` (H, W), in the order of the classes.

        Raises:
            InputError: it cannot be read, does not fit the image, or shows a class that the collection does not have.
        """
        return renumbered(load_mask(self.file, size), self.meant, self.classes, self.file)


def renumbered(mask: np.ndarray, meant: Sequence[str], classes: Sequence[str], file: Path) -> np.ndarray:
    """Return a mask uint8 [H, W] with the numbers of other classes of the same names; 255 stays.

    Args:
        meant: class names that its values stand for, value 1 first.
        classes: whose numbers it is to have.
        file: that it was read from, for errors.

    Raises:
        InputError: it shows a class that is not among ``classes``.

    Example:
        >>> renumbered(np.array([[0, 1, 2, 255]], np.uint8), ["cat", "dog"], ["bird", "cat", "dog"], Path()).tolist()
        [[0, 2, 3, 255]]
    """
    if tuple(meant) == tuple(classes):
        return mask
    values = np.full(IGNORE + 1, IGNORE, np.uint8)
    values[BACKGROUND] = BACKGROUND
    for value in np.unique(mask).tolist():
        if value in (BACKGROUND, IGNORE):
            continue
        name = meant[value - 1] if value <= len(meant) else f"number {value}"
        if name not in classes:
            raise InputError(f"{file}: shows {name}, which is not a class any more; correct the image again")
        values[value] = list(classes).index(name) + 1
    return values[mask]


@dataclass(frozen=True)
class ColourMask:
    """A mask in which every class has a colour, or in a palette or grayscale PNG, its value.

    Args:
        file: the PNG.
        colours: (red, green, blue) -> label value.
        listing: the file that lists the colours, for errors.
    """

    file: Path
    colours: Mapping[tuple[int, int, int], int]
    listing: Path

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file is missing, has the wrong size, or a colour that is not listed.
        """
        picture = load_colours(self.file, size)
        if picture.ndim == len(size):
            return picture
        picture = picture.astype(np.int64)
        codes, inverse = np.unique(picture @ (1 << 16, 1 << 8, 1), return_inverse=True)
        values = []
        for code in codes.tolist():
            colour = (code >> 16, code >> 8 & 255, code & 255)
            if colour not in self.colours:
                raise InputError(
                    f"{self.file}: has the colour {colour}, which {self.listing.name} does not list; add it"
                )
            values.append(self.colours[colour])
        return np.array(values, np.uint8)[inverse.reshape(size)]


@dataclass(frozen=True, eq=False)
class AnnotationSpans:
    """Where a COCO file has the annotations of each image, so that none has to be kept in memory.

    Args:
        file: the JSON file.
        first: int64 [I + 1]; the annotations of image i are those from first[i] to first[i + 1].
        starts: int64 [N], byte offsets of the annotations.
        lengths: int32 [N], their sizes in bytes.
        values: uint8 [N], their label values: class + 1, 255 for a crowd.
    """

    file: Path
    first: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class CocoMask:
    """The outlines and run lengths of an image in a COCO file.

    Where objects overlap, the smaller lies above the larger. A crowd (``iscrowd``) is 255 where no object is.

    Args:
        spans: of the file.
        number: of the image in it, counted from 0.
        size: (H, W) of the image according to the file, if it says so.
    """

    spans: AnnotationSpans
    number: int
    size: tuple[int, int] | None = None

    @property
    def file(self) -> Path:
        return self.spans.file

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file has changed, is of another size, or has something that is not an outline.
        """
        _check_size(self.file, self.size, size)
        labels, areas = np.zeros(size, np.uint8), np.full(size, _NOTHING, np.int64)
        here = slice(int(self.spans.first[self.number]), int(self.spans.first[self.number + 1]))
        spans = zip(self.spans.starts[here], self.spans.lengths[here], self.spans.values[here], strict=True)
        try:
            with self.file.open("rb") as file:
                for start, length, value in spans:
                    file.seek(int(start))
                    region = coco_region(json.loads(file.read(int(length)))["segmentation"], size)
                    area = _CROWD if value == IGNORE else int(region.sum())
                    above = region & (areas >= area)
                    labels[above], areas[above] = value, area
        except InputError as error:
            raise InputError(f"{self.file}: annotation at byte {start}: {error}; fix or remove it") from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{self.file}: has changed since it was opened; start again") from None
        return labels


_NOTHING = 2**62  # pixels: larger than every object
_CROWD = 2**61


@dataclass(frozen=True)
class Shape:
    """A region of one class.

    Args:
        value: label value.
        kind: "polygon": corners float64 [N, 2]; "runs": lengths int64 [N] along the rows of a box.
        numbers: of that kind.
        box: (left, top, width, height) of runs.
    """

    value: int
    kind: str
    numbers: np.ndarray
    box: tuple[int, int, int, int] = (0, 0, 0, 0)

    def region(self, size: tuple[int, int]) -> np.ndarray:
        """Return the region bool [H, W].

        Raises:
            InputError: the runs do not fit their box, or the box the image.
        """
        if self.kind == "polygon":
            return polygon_region(self.numbers, size)
        left, top, width, height = self.box
        if min(self.box) < 0 or top + height > size[0] or left + width > size[1]:
            raise InputError(f"a mask of {width} x {height} at {left}, {top} is not inside the image")
        region = np.zeros(size, bool)
        region[top : top + height, left : left + width] = runs_region(self.numbers, (height, width), by_columns=False)
        return region


@dataclass(frozen=True, eq=False)
class ShapesMask:
    """Shapes that an annotation file draws above each other, the last on top.

    Args:
        file: the annotation file.
        shapes: in their order.
        size: (H, W) of the image according to the file, if it says so.
    """

    file: Path
    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file is of another size, or a shape does not fit.
        """
        _check_size(self.file, self.size, size)
        labels = np.zeros(size, np.uint8)
        for shape in self.shapes:
            try:
                labels[shape.region(size)] = shape.value
            except InputError as error:
                raise InputError(f"{self.file}: {error}; fix or remove it") from None
        return labels


@dataclass(frozen=True)
class YoloMask:
    """The polygons of a YOLO label file, the last on top; nothing if there is no such file.

    Args:
        file: the text file.
        classes: how many classes there are.
    """

    file: Path
    classes: int

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: the file cannot be read.
        """
        labels = np.zeros(size, np.uint8)
        for number, coordinates in yolo_objects(self.file, self.classes) if self.file.exists() else ():
            outline = np.asarray(coordinates).reshape(-1, 2) * (size[1], size[0])
            labels[polygon_region(outline, size)] = number + 1
        return labels


def yolo_objects(file: Path, classes: int) -> list[tuple[int, list[float]]]:
    """Return class number and coordinates of every line of a YOLO label file.

    Four coordinates are a box; six or more a polygon x1 y1 x2 y2 ..., as fractions of width and height.

    Raises:
        InputError: it is not text, or a line is neither.
    """
    objects = []
    for place, line in enumerate(read_lines(file), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"{file}:{place}"
        try:
            number, coordinates = float(fields[0]), [float(field) for field in fields[1:]]
        except ValueError:
            raise InputError(f"{where}: has something that is not a number; fix or remove the line") from None
        if len(coordinates) < 4 or len(coordinates) % 2 or not all(-1 <= value <= 2 for value in coordinates):
            raise InputError(
                f"{where}: is neither a box (class x y width height) nor a polygon (class x1 y1 x2 y2 x3 y3 ...) in "
                "fractions of the image's size; fix or remove the line"
            )
        if number not in range(classes):
            raise InputError(
                f"{where}: class {fields[0]}, but there are {classes} names; add it to them or fix the line"
            )
        objects.append((int(number), coordinates))
    return objects


def _check_size(file: Path, annotated: tuple[int, int] | None, size: tuple[int, int]) -> None:
    if annotated is not None and annotated != tuple(size):
        raise SizeError(
            f"{file}: was drawn on {annotated[1]} x {annotated[0]} pixels, its image is {size[1]} x {size[0]}; "
            "use the image that was annotated",
            annotated,
        )
