"""What there is to know of a collection once every image and mask was read, as ``collection.json`` keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from affinitynet.errors import InputError, Remark
from affinitynet.files import read_json, write_json

Record = TypeVar("Record")


@dataclass(frozen=True)
class Cases:
    """How often something occurs.

    Args:
        count: number of cases.
        example: one of them.
        reason: what they have in common, where that needs words.

    Example:
        >>> Cases.of(["a.png", "b.png"])
        Cases(count=2, example='a.png', reason='')
    """

    count: int = 0
    example: str = ""
    reason: str = ""

    @classmethod
    def of(cls, found: Iterable[str], reason: str = "") -> Cases:
        """Count cases; the first is the example."""
        found = list(found)
        return cls(len(found), found[0] if found else "", reason)


@dataclass(frozen=True)
class ClassFacts:
    """A class.

    Args:
        name: of the class.
        images: training images tagged with it.
        measured: images tagged with it that are measured but not trained on.
        masks: ground-truth masks that hold a pixel of it.
        pixels: pixels of it in all masks.
        share: median share of the pixels of a mask, of the masks that hold it; 0 if there are none.
        drawn: masks to learn from that hold a pixel of it.
    """

    name: str
    images: int = 0
    measured: int = 0
    masks: int = 0
    pixels: int = 0
    share: float = 0.0
    drawn: int = 0


@dataclass(frozen=True)
class SplitFacts:
    """A split.

    Args:
        name: of the split.
        images: that can be used.
        masks: of them that have ground truth.
        trained: whether the classifier is trained on it.
        measured: whether results are measured on it.
        shared: images that are in the training split too.
    """

    name: str
    images: int = 0
    masks: int = 0
    trained: bool = False
    measured: bool = False
    shared: int = 0


@dataclass(frozen=True)
class Pair:
    """Two classes that occur in the same training images, and in how many."""

    first: str
    second: str
    images: int


@dataclass(frozen=True)
class ImageSizes:
    """Sizes (width, height) of the images in pixels, in the order of their areas and, of equal ones, of their widths.

    Args:
        smallest, median, largest: the image of that rank.
        small: images with a side below 64 pixels.
        large: images with a side above 4,096 pixels.
    """

    smallest: tuple[int, int] = (0, 0)
    median: tuple[int, int] = (0, 0)
    largest: tuple[int, int] = (0, 0)
    small: Cases = Cases()
    large: Cases = Cases()


@dataclass(frozen=True)
class MaskFacts:
    """The ground-truth masks.

    Args:
        count: number of masks.
        background, ignored: pixels in all masks.
        ignoring: masks that hold a pixel to be ignored.
        unpainted: masks without a pixel of any class although their image has tags.
        missing: masks without a pixel of one of the classes that their image is tagged with, but with others.
        untagged: masks with a pixel of a class that their image is not tagged with.
    """

    count: int = 0
    background: int = 0
    ignored: int = 0
    ignoring: int = 0
    unpainted: Cases = Cases()
    missing: Cases = Cases()
    untagged: Cases = Cases()


@dataclass(frozen=True)
class CollectionFacts:
    """What is known of a collection: its images are those that are trained on and those that are measured.

    Keys that a version did not know are absent from its file and have their default here.

    Args:
        folder: the collection.
        layout: what a folder of this layout is.
        split: name of the split that is trained on.
        splits: all splits.
        classes: in the order of their mask values.
        images: images that were read and can be used.
        training_images: of them those that are trained on.
        negatives: training images without any tag.
        pairs: classes that occur together, the most frequent first.
        kinds: format and mode of the images, e.g. "8-bit RGB JPEG" -> number of images.
        sizes: of the images.
        masks: the ground truth.
        drawn: masks to learn from.
        flat: images of almost one colour.
        repeated: images that show the same as an earlier one.
        leaked: images that are measured and show the same as one that is trained on, under another name.
        contradicted: images that show the same as another one but have other tags.
        passed_over: files that were not looked at, by reason.
        skipped: images, masks and rows that cannot be used, by part.
        remarks: what was read tolerantly, and what looks wrong.

    Example:
        >>> facts = CollectionFacts("data", classes=(ClassFacts("cat", 3),), kinds={"8-bit RGB JPEG": 3})
        >>> CollectionFacts.from_json(facts.to_json()) == facts
        True
    """

    folder: str = ""
    layout: str = ""
    split: str = ""
    splits: tuple[SplitFacts, ...] = ()
    classes: tuple[ClassFacts, ...] = ()
    images: int = 0
    training_images: int = 0
    negatives: int = 0
    pairs: tuple[Pair, ...] = ()
    kinds: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: ImageSizes = ImageSizes()
    masks: MaskFacts = MaskFacts()
    drawn: int = 0
    flat: Cases = Cases()
    repeated: Cases = Cases()
    leaked: Cases = Cases()
    contradicted: Cases = Cases()
    passed_over: tuple[Cases, ...] = ()
    skipped: tuple[Cases, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``collection.json``."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CollectionFacts:
        """Undo :meth:`to_json`; keys that are not known are ignored.

        Raises:
            TypeError: a value is not of its type.
        """
        return _record(cls, content)


def read_facts(path: Path) -> CollectionFacts | None:
    """Read ``collection.json``; ``None`` if there is none, because the collection was not checked yet.

    Raises:
        InputError: it cannot be read.
    """
    if not path.exists():
        return None
    try:
        return CollectionFacts.from_json(read_json(path))
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: does not describe a collection ({error}); delete it and run again") from None


def write_facts(path: Path, facts: CollectionFacts) -> None:
    """Write ``collection.json`` atomically."""
    write_json(path, facts.to_json())


def _record(cls: type[Record], content: Any) -> Record:
    if not isinstance(content, dict):
        raise TypeError(f"{content!r} is not a {cls.__name__}")
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], content[name]) for name in hints if name in content})


def _value(hint: Any, value: Any) -> Any:
    """Return a value of JSON as the type that a field has."""
    if dataclasses.is_dataclass(hint):
        return _record(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list | tuple) or (kinds[-1] is not Ellipsis and len(value) != len(kinds)):
            raise TypeError(f"{value!r} is not a list as long as it should be")
        return tuple(_value(kinds[0], item) for item in value)
    if get_origin(hint) is dict:
        return {str(key): _value(get_args(hint)[1], item) for key, item in value.items()}
    if hint is float and isinstance(value, int):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise TypeError(f"{value!r} is not a {hint.__name__}")
    return value
