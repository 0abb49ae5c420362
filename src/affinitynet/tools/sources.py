"""The images that ``predict`` is to label: files, folders and lists of them, and a name for each."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affinitynet.data.image_files import PassedOver, find_image_files, summary_of
from affinitynet.errors import InputError, Problems

LIST, STDIN = ".txt", Path("-")


@dataclass(frozen=True)
class FoundImages:
    """The images to label.

    Args:
        images: name -> file.
        passed_over: files below the folders that are not used.
        junk: how many files and folders of systems were left alone.
    """

    images: dict[str, Path]
    passed_over: tuple[PassedOver, ...] = ()
    junk: int = 0


def find_images(
    sources: Sequence[Path], without: Collection[Path] = (), problems: Problems | None = None, empty: bool = False
) -> FoundImages:
    """Return all images that are named, in lists or below folders.

    A name is the path below the folder without its suffix; with it where two differ in nothing else. Files that are
    named by themselves are called by their file names, with their folders where these are the same.

    Args:
        without: folders to be left alone.
        problems: takes entries of lists that do not exist.
        empty: whether there may be no image yet.

    Raises:
        InputError: a source is missing, or no image is found.

    Example:
        >>> find_images([])
        Traceback (most recent call last):
        affinitynet.errors.InputError: no image to label; name image files or folders that hold some
    """
    files: list[Path] = []
    found: list[tuple[Path, Path]] = []
    passed_over: list[PassedOver] = []
    junk = 0
    for source in _expanded(sources, problems or Problems()):
        if source.is_dir():
            below = find_image_files(source, without)
            found += [(path.relative_to(source), path) for path in below.images]
            passed_over += below.passed_over
            junk += below.junk
        else:
            files.append(source)
    found += _named_alone(files)
    if not found and not empty:
        why = "; ".join(summary_of(passed_over))
        raise InputError(f"no image to label{f' ({why})' if why else ''}; name image files or folders that hold some")
    return FoundImages(_names(found), tuple(passed_over), junk)


def _expanded(sources: Iterable[Path], problems: Problems) -> list[Path]:
    """Return the files and folders that are named, lists replaced by what they name.

    Raises:
        InputError: one does not exist.
    """
    named: list[Path] = []
    for source in sources:
        if source == STDIN or (source.suffix.lower() == LIST and source.is_file()):
            for number, line in enumerate(_lines(source), start=1):
                with problems.noted(line, "row"):
                    named.append(_listed(source, line, number))
        elif source.exists():
            named.append(source)
        else:
            raise InputError(f"{source}: no such file or folder; name images or folders of images")
    return named


def _lines(source: Path) -> list[str]:
    """Return the entries of a list: lines, or what ends in NUL, as \"find -print0\" writes it."""
    content = sys.stdin.buffer.read() if source == STDIN else source.read_bytes()
    text = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf"))
    entries = text.split("\0") if "\0" in text else text.splitlines()
    return [entry.strip("\r\n") for entry in entries if entry.strip()]


def _listed(source: Path, line: str, number: int) -> Path:
    """Return the file of an entry: as written from here, or else from the folder of the list."""
    for path in (Path(line), Path(line.strip()), source.parent / line.strip()):
        if path.exists():
            return path
    where = "standard input" if source == STDIN else str(source)
    raise InputError(f"{where}:{number}: no such file {line!r}; fix or remove the line")


def _named_alone(files: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return (name with suffix, file): the file name, below the common folder where two are called the same."""
    files = list({file.absolute(): file for file in files}.values())
    if len({file.name.casefold() for file in files}) == len(files):
        return [(Path(file.name), file) for file in files]
    common = Path(os.path.commonpath([file.absolute().parent for file in files]))
    return [(file.absolute().relative_to(common), file) for file in files]


def _names(found: Sequence[tuple[Path, Path]]) -> dict[str, Path]:
    """Return name -> file.

    Raises:
        InputError: two files would have the same name.
    """
    stems = Counter(relative.with_suffix("") for relative, _ in found)
    images: dict[str, Path] = {}
    for relative, path in found:
        name = (relative if stems[relative.with_suffix("")] > 1 else relative.with_suffix("")).as_posix()
        if name in images:
            raise InputError(
                f"{path} and {images[name]}: would both be labelled as {name}; label them into two folders"
            )
        images[name] = path
    return images
