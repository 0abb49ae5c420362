"""What the reader of a layout hands over, and the checks that all readers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from affinitynet.types import InputError, TaggedImage

LARGEST_TEXT = 100 * 2**20  # bytes
OnError = Literal["skip", "stop"]


@dataclass(frozen=True)
class LeftOut:
    """Something of a data set that cannot be used, while the rest goes on.

    Args:
        name: artifact name of the image, or the name that a row of a list gives.
        part: what is left out: the "image" with all that belongs to it, its ground-truth "mask", or the "row" of a
            list or tag file.
        reason: the error, in one line.
    """

    name: str
    part: Literal["image", "mask", "row"]
    reason: str


class Problems:
    """What is wrong with single images and rows: raised at once, or noted where the rest is to go on.

    Args:
        on_error: "stop" or "skip".

    Example:
        >>> problems = Problems("skip")
        >>> with problems.noted("a.png", "row"):
        ...     raise InputError("tags.csv:2: mend it")
        >>> problems.found[0].reason
        'tags.csv:2: mend it'
    """

    def __init__(self, on_error: OnError = "stop") -> None:
        self.skip = on_error == "skip"
        self.found: list[LeftOut] = []

    @contextmanager
    def noted(self, name: str, part: Literal["image", "mask", "row"]) -> Iterator[None]:
        """Leave out what the block finds wrong with ``name``, or raise it."""
        try:
            yield
        except InputError as error:
            if not self.skip:
                raise
            self.found.append(LeftOut(name, part, str(error)))


@dataclass(frozen=True)
class Layout:
    """A data set as it lies on disk.

    Args:
        classes: names in the order of the stored mask values.
        splits: name -> images.
        default_split: what is trained on unless another split is named.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[TaggedImage, ...]]
    default_split: str


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 text file (with or without BOM).

    Raises:
        InputError: it is missing, not UTF-8, or too large for a list of images.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(
                f"{path}: {path.stat().st_size / 2**20:.0f} MB; a list is read up to {LARGEST_TEXT / 2**20:.0f} MB, "
                "about two million images; divide the data set"
            )
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None


def check_inside(name: str, where: str) -> None:
    """Refuse a relative path that leads outside its folder.

    Raises:
        InputError: it does; ``where`` says which file and line named it.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]:
        raise InputError(f"{where}: {name!r} leads outside the data folder; name a file inside it")
