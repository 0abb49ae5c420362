"""Text files as spreadsheets and editors write them: which encoding, which characters nobody sees."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from affinitynet.data.layouts.base import LARGEST_TEXT
from affinitynet.errors import InputError, Problems

_BLANKS = re.compile(r"\s+")
_UNSEEN = re.compile("[\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff]")
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_bytes(path: Path) -> bytes:
    """Read a file that describes a collection.

    Raises:
        InputError: it cannot be read, or is too large for a list of images.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_TEXT:
            raise InputError(
                f"{path}: {size / 2**20:.0f} MB; lists are limited to {LARGEST_TEXT / 2**20:.0f} MB, "
                "about two million images; divide the collection"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def decode(content: bytes, path: Path, problems: Problems) -> str:
    """Decode a text file: UTF-8, UTF-16 with or without its mark, else Windows' Western encoding, which is said.

    Raises:
        InputError: it is UTF-16 and damaged.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), _unmarked(content))
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"{path}: cannot be read as {encoding} text ({error}); save it as UTF-8") from None
        text = _western(content)
        problems.taken("files that are not UTF-8, read as Windows-1252", f"{path.name}: {_first_special(text)!r}")
    if "\0" in text:
        problems.taken("files with NUL bytes, which are ignored", path.name)
        text = text.replace("\0", "")
    return text


def _unmarked(content: bytes) -> str:
    """Return the encoding of a file without a byte order mark: in UTF-16, Latin text is NUL in every other byte."""
    start = content[:4096]
    if len(start) >= 4 and start[1::2].count(0) > 0.4 * len(start[1::2]) and start[::2].count(0) == 0:
        return "utf-16-le"
    if len(start) >= 4 and start[::2].count(0) > 0.4 * len(start[::2]) and start[1::2].count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def _western(content: bytes) -> str:
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _first_special(text: str) -> str:
    """Return the first line with a letter outside ASCII: by it the owner sees whether the encoding is right."""
    return next(line for line in text.splitlines() if not line.isascii())[:60]


def read_text_lines(path: Path, problems: Problems) -> list[str]:
    """Read the lines of a list, without blanks at their ends.

    Raises:
        InputError: as :func:`read_bytes` and :func:`decode`.
    """
    return [line.strip() for line in decode(read_bytes(path), path, problems).splitlines()]


def tidy(text: str) -> str:
    """Return a text in composed letters, without invisible characters, repeated blanks and blanks at its ends.

    Example:
        >>> tidy("  traffic\\u00a0 light\\u200b")
        'traffic light'
    """
    if text.isascii():
        return " ".join(text.split())
    return _BLANKS.sub(" ", _UNSEEN.sub("", unicodedata.normalize("NFC", text))).strip()


def fold(text: str) -> str:
    """Return what is left of a text where case, composition and invisible characters make no difference.

    Example:
        >>> fold("Ku\\u0308che 1.PNG") == fold("KÜCHE  1.png")
        True
    """
    return tidy(text).casefold()
