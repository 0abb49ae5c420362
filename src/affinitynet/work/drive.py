"""What the drive of a folder can hold: file systems of other systems refuse names, or do not tell them apart."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from affinitynet.files import UNFINISHED

_SUFFIX = ".npz"  # as long as that of any artifact
_LONG = 130  # bytes of a name that the narrowest file system in use, an encrypted one, does not hold any more
_ODD = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)',
    re.IGNORECASE,
)
_ELSEWHERE = "rename the image and its row in the tag file, or choose a folder on another drive"


def refused_names(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return which artifact names a folder's drive cannot hold, and why, in one line.

    Only names that some file system refuses, and those that differ in upper and lower case alone, are tried there.

    Args:
        folder: where they will be written, in sub-folders; made if it does not exist.
        names: artifact names of images.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     refused = refused_names(Path(folder), ["dog", "x" * 300])
        >>> list(map(len, refused))
        [300]
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(unicodedata.normalize("NFC", name).casefold(), []).append(name)
    clashing = [group for group in alike.values() if len(group) > 1]
    odd = [name for group in alike.values() for name in group if _is_odd(name)]
    if not odd and not clashing:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    refused = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED, ignore_cleanup_errors=True) as place:
        for name in odd:
            if reason := _failure(Path(place), name):
                refused[name] = f"{name!r}: the drive of {folder} cannot hold that name ({reason}); {_ELSEWHERE}"
        for first, *others in clashing:
            if _failure(Path(place), first):
                continue
            for other in others:
                if (Path(place) / f"{other}{_SUFFIX}").exists():
                    refused[other] = f"{other!r}: the drive of {folder} does not tell it from {first!r}; {_ELSEWHERE}"
    return refused


def _is_odd(name: str) -> bool:
    longest = max(len(part.encode(errors="surrogateescape")) for part in name.split("/"))
    return longest > _LONG or bool(_ODD.search(name))


def _failure(place: Path, name: str) -> str:
    """Try to write a file of that name below ``place``; return why that fails, or nothing."""
    path = place / f"{name}{_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        kept = {entry.name for entry in path.parent.iterdir()}
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return "" if path.name in kept else "it is kept under another"
