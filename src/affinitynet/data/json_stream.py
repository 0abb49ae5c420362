"""JSON files of any size, read piece by piece in bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from affinitynet.errors import InputError, one_line

LARGEST_PIECE = 64 * 2**20  # bytes
_CHUNK = 2**22
_EXPONENT = 2  # characters of a number that are not part of it while the rest is missing: e+
_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
_FLAT = re.compile(r"\{[^{}]*\}")
_FLAT_ELEMENT = re.compile(r"[ \t\r\n]*(\{[^{}]*\})[ \t\r\n]*,")


class Piece(NamedTuple):
    """One JSON value and where it is.

    Args:
        text: its bytes as Latin-1, so that characters are bytes.
        start: byte offset in the file.
    """

    text: str
    start: int

    def value(self) -> Any:
        """Return the value.

        Raises:
            ValueError: it is not JSON.
            RecursionError: it is nested too deeply.
        """
        return json.loads(self.text if self.text.isascii() else self.text.encode("latin-1"))


class JsonStream:
    """The members of the object that a JSON file holds; arrays element by element.

    Iterating yields (key, elements); the elements of a member that is not an array are empty.

    Args:
        file: open for reading bytes.
        name: of the file, for errors.

    Example:
        >>> import io
        >>> stream = JsonStream(io.BytesIO(b'{"info": 1, "images": [{"id": 1}, {"id": 2}]}'), "a.json")
        >>> [(key, [(piece.start, piece.value()) for piece in pieces]) for key, pieces in stream]
        [('info', []), ('images', [(23, {'id': 1}), (34, {'id': 2})])]
    """

    def __init__(self, file: IO[bytes], name: Path | str) -> None:
        self._file, self._name = file, name
        self._text, self._base, self._at = "", 0, 0

    def __iter__(self) -> Iterator[tuple[str, Iterator[Piece]]]:
        if self._file.read(3) != b"\xef\xbb\xbf":
            self._file.seek(0)
        self._base = self._file.tell()
        self._take("{")
        if self._peek() == "}":
            return
        while True:
            key = self._key()
            self._take(":")
            if self._peek() == "[":
                elements = self._elements()
                yield key, elements
                for _ in elements:  # those that were not asked for
                    pass
            else:
                self._piece()
                yield key, iter(())
            if self._peek() != ",":
                self._take("}")
                return
            self._take(",")

    def _key(self) -> str:
        try:
            key = self._piece().value()
        except (ValueError, RecursionError):
            key = None
        if not isinstance(key, str):
            raise self._error("the name of a member is not a text")
        return key

    def _elements(self) -> Iterator[Piece]:
        self._take("[")
        if self._peek() == "]":
            self._take("]")
            return
        while True:
            while (found := _FLAT_ELEMENT.match(self._text, self._at)) and _is_whole(found[1]):
                self._at = found.end()
                yield Piece(found[1], self._base + found.start(1))
            yield self._piece()
            if self._peek() != ",":
                self._take("]")
                return
            self._take(",")

    def _piece(self) -> Piece:
        """Return the next value.

        An object without objects inside is not parsed: its end is the first brace.
        """
        self._peek()
        while True:
            found = _FLAT.match(self._text, self._at)
            if found and _is_whole(found[0]):
                end = found.end()
                break
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise self._error(one_line(error)) from None
                continue
            if len(self._text) - end > _EXPONENT or not self._more():  # a number at the end may go on
                break
        start, self._at = self._at, end
        return Piece(self._text[start:end], self._base + start)

    def _peek(self) -> str:
        """Return the next character that is not blank, "" at the end."""
        while True:
            self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise self._error(f"{character!r} is missing")
        self._at += 1

    def _more(self) -> bool:
        """Read on, forgetting what is done with; return whether there was more."""
        rest = self._text[self._at :]
        if len(rest) > LARGEST_PIECE:
            return False
        try:
            read = self._file.read(max(_CHUNK, len(rest)))
        except OSError as error:
            raise self._error(str(error.strerror)) from None
        if not read:
            return False
        self._base, self._at, self._text = self._base + self._at, 0, rest + read.decode("latin-1")
        return True

    def _error(self, reason: str) -> InputError:
        return InputError(
            f"{self._name}: not readable JSON at byte {self._base + self._at} ({reason}); export it again"
        )


def _is_whole(text: str) -> bool:
    """Return whether the brace at the end of a text is the end of an object, not part of a text in it."""
    return "\\" not in text and not text.count('"') % 2
