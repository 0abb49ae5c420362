"""What is reported to the user: errors that say how to fix them, and what was skipped while the rest continued."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal


class InputError(ValueError):
    """The user's input is wrong: the message says in one line what is wrong, where, and how to fix it."""


OnError = Literal["skip", "stop"]


@dataclass(frozen=True)
class LeftOut:
    """Something in a collection that cannot be used and was skipped.

    Args:
        name: artifact name of the image, or the name that a row of a list gives.
        part: what was skipped: the "image" with everything that belongs to it, its ground-truth "mask", or the
            "row" of a list or tag file.
        reason: the error, in one line.
    """

    name: str
    part: Literal["image", "mask", "row"]
    reason: str


@dataclass(frozen=True)
class Remark:
    """Something about a collection that its owner should know, though nothing was skipped for it.

    Args:
        kind: "taken": what was read tolerantly, and as what; "warning": what can be read but looks wrong.
        text: one line.
    """

    kind: Literal["taken", "warning"]
    text: str


class Problems:
    """What there is to say about a collection while it is read.

    Problems with single images and rows are either raised or recorded while the rest continues; what was read
    tolerantly is said once a rule, with the number of times and an example.

    Args:
        on_error: "stop" or "skip".

    Example:
        >>> problems = Problems("skip")
        >>> with problems.noted("a.png", "row"):
        ...     raise InputError("tags.csv:2: fix it")
        >>> problems.found[0].reason
        'tags.csv:2: fix it'
    """

    def __init__(self, on_error: OnError = "stop") -> None:
        self.skip = on_error == "skip"
        self.found: list[LeftOut] = []
        self.of_split: dict[str, list[LeftOut]] = {}
        self.unreadable: dict[str, str] = {}
        self._split: str | None = None
        self._taken: dict[str, list[str]] = {}
        self._warnings: dict[str, None] = {}

    @contextmanager
    def noted(self, name: str, part: Literal["image", "mask", "row"]) -> Iterator[None]:
        """Record an error of the block as a skipped ``name``, or raise it."""
        try:
            yield
        except InputError as error:
            if self._split is not None:
                self.of_split.setdefault(self._split, []).append(LeftOut(name, part, str(error)))
                return
            if not self.skip:
                raise
            self.found.append(LeftOut(name, part, str(error)))

    @contextmanager
    def within(self, split: str) -> Iterator[None]:
        """Keep what is wrong in the block apart, as it matters only to those who use that split.

        Problems with single images and rows are recorded in ``of_split``, an error of the list as a whole in
        ``unreadable``; nothing is raised.

        Example:
            >>> problems = Problems("stop")
            >>> with problems.within("test"), problems.noted("a.png", "row"):
            ...     raise InputError("test.txt:2: fix it")
            >>> problems.found, problems.of_split["test"][0].reason
            ([], 'test.txt:2: fix it')
        """
        self._split = split
        try:
            yield
        except InputError as error:
            self.unreadable.setdefault(split, str(error))
        finally:
            self._split = None

    def taken(self, rule: str, example: str) -> None:
        """Note that something was read tolerantly: by which rule, and what was taken for what.

        Example:
            >>> problems = Problems()
            >>> problems.taken("names that differ in upper and lower case", "a.jpg is a.JPG")
            >>> problems.taken("names that differ in upper and lower case", "b.jpg is b.JPG")
            >>> problems.remarks[0].text
            '2 names that differ in upper and lower case: a.jpg is a.JPG'
        """
        self._taken.setdefault(rule, []).append(example)

    def warn(self, text: str) -> None:
        """Note something that can be read but looks wrong, in one line; the same line is kept once."""
        self._warnings[text] = None

    @property
    def first(self) -> str | None:
        """What is wrong with the first image, row or list that was recorded."""
        rows = (*self.found, *(row for rows in self.of_split.values() for row in rows))
        return next(iter((*(row.reason for row in rows), *self.unreadable.values())), None)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was noted so far: first what was read tolerantly, then the warnings."""
        taken = (
            Remark("taken", f"{f'{len(found):,} ' if len(found) > 1 else ''}{rule}: {found[0]}")
            for rule, found in self._taken.items()
        )
        return (*taken, *(Remark("warning", text) for text in self._warnings))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name as a question, in brackets.

    Example:
        >>> did_you_mean("make-cam", ["make-cams", "evaluate"])
        "(did you mean 'make-cams'?)"
    """
    return f"(did you mean {nearest(name, known)!r}?)"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is spelt most like ``name``.

    Example:
        >>> nearest("vgg61", ["lite", "vgg16"])
        'vgg16'
    """
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def system_error(error: OSError) -> str:
    """Return what the system could not do, and with which file, in one line.

    Example:
        >>> system_error(OSError(28, "No space left on device", "masks/dog.png"))
        'masks/dog.png: No space left on device'
    """
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or one_line(error)}"


def one_line(error: object) -> str:
    """Return a message without line breaks."""
    return " ".join(str(error).split())
