"""What the reader of a layout returns, and the checks that all readers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from affinitynet.data.image_files import PassedOver
from affinitynet.errors import InputError, Problems
from affinitynet.records import TaggedImage

LARGEST_TEXT = 100 * 2**20  # bytes


@dataclass(frozen=True)
class Layout:
    """A collection as described by its on-disk layout.

    Args:
        classes: names in the order of the stored mask values.
        splits: name -> images.
        default_split: the split to train on unless another is named.
        passed_over: files that were not used as images.
        form: what this folder is; empty where the layout's ``FORM`` says it.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[TaggedImage, ...]]
    default_split: str
    passed_over: tuple[PassedOver, ...] = ()
    form: str = ""


class LayoutReader(Protocol):
    """What the file of a layout offers.

    Attributes:
        FORM: what a folder of this layout is, for the error about a folder that has none.
    """

    FORM: str

    def recognise(self, folder: Path) -> Path | None:
        """Return the folder to read if ``folder`` has this layout."""

    def read(self, root: Path, problems: Problems) -> Layout:
        """Read a folder returned by ``recognise``.

        Rows that cannot be used go through ``problems``, and so does what is read tolerantly or looks wrong.
        """


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 text file (with or without BOM).

    Raises:
        InputError: it is missing, not UTF-8, or too large for a list of images.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(
                f"{path}: {path.stat().st_size / 2**20:.0f} MB; lists are limited to {LARGEST_TEXT / 2**20:.0f} MB, "
                "about two million images; divide the collection"
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
        raise InputError(f"{where}: {name!r} leads outside the data folder; use a path inside it")
