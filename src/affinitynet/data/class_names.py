"""Names of classes that were probably not meant: look-alikes, several tags in one, words for "nothing"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

RARE = 5
"""A misspelling occurs in at most a fifth of the images that the right spelling occurs in."""

SHORTEST = 5
"""Letters below which a letter more or less is another word."""

SURE_SEPARATORS = re.compile(r"[,;|\n\r\t]")
SEPARATORS = re.compile(r"[,;|\n\r\t/+&]|\s(?:and|und|et|y)\s")

NOTHING = frozenset(
    (
        *("0", "-", "--", "?", "background", "backgrounds", "bg", "_background_", "__background__", "__ignore__"),
        *("ignore", "void", "nan", "none", "null", "nil", "n/a", "na", "#n/a", "no_label", "nolabel", "unlabelled"),
        *("unlabeled", "unlabel", "untagged", "unknown", "undefined", "empty", "blank", "nothing", "negative"),
        *("negatives", "false", "true"),
    )
)
ABSENCE = frozenset(("normal", "healthy", "clean", "good", "ok", "intact", "unaffected"))
"""Words for images without any of the other classes."""


def look_alikes(images: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield pairs of class names that may be one class, the more frequent first.

    Names that differ in case, accents' composition, blanks and punctuation, or as singular and plural; and rare names
    that are spelt almost like a frequent one. Numbered names (``grade 1``, ``grade 2``) are different classes.

    Args:
        images: class name -> number of its images.

    Example:
        >>> list(look_alikes({"dog": 80, "dogs": 60, "screw": 90, "screv": 2, "cow": 50, "cat": 1}))
        [('dog', 'dogs'), ('screw', 'screv')]
    """
    keys = {name: _plain(name) for name in images}
    for pair in combinations(images, 2):
        common, rare = sorted(pair, key=lambda name: -images[name])
        one, other = keys[common], keys[rare]
        if _marks(_visible(common)) != _marks(_visible(rare)):
            continue
        alike = one == other or _is_plural(one, other) or _is_plural(other, one)
        if alike or (0 < images[rare] * RARE <= images[common] and _misspelt(one, other)):
            yield common, rare


def _visible(name: str) -> str:
    """Return a name in its composed form, without characters that are not seen."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without case, and its signs where it has neither."""
    folded = unicodedata.normalize("NFKC", _visible(name).casefold())
    return "".join(letter for letter in folded if letter.isalnum() or unicodedata.combining(letter)) or folded


def _is_plural(many: str, one: str) -> bool:
    return many in (f"{one}s", f"{one}es") or (one.endswith("y") and many == f"{one[:-1]}ies")


def _misspelt(one: str, other: str) -> bool:
    """Tell whether two names differ by a slip: a letter too many, too few, another one or two swapped.

    Short names only where a letter was struck twice: any other slip makes another word of them.
    """
    if len(other) == len(one) + 1 and any(one[:i] + one[i - 1 :] == other for i in range(1, len(one) + 1)):
        return True
    if len(one) < SHORTEST or abs(len(one) - len(other)) > 1 or one[0] != other[0]:
        return False
    start = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(other))
    left, right = one[start:], other[start:]
    swapped = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or swapped


def _marks(name: str) -> list[str]:
    """Return what numbers a class: digits, and letters that stand alone (``type_a``)."""
    return re.findall(r"\d+|(?<![^\W_])[^\W\d_](?![^\W_])", name.casefold())


def joined(names: Sequence[str]) -> list[str]:
    """Return the class names that look like several tags in one.

    Example:
        >>> joined(["cat", "dog", "cat/dog", "cat, owl", "salt and pepper", "24/7"])
        ['cat/dog', 'cat, owl']
    """
    known = {_plain(name) for name in names}
    return [
        name
        for name in names
        if len(parts := [part for part in SEPARATORS.split(name) if part.strip()]) > 1
        and (SURE_SEPARATORS.search(name) or any(_plain(part) in known for part in parts))
    ]


def names_nothing(name: str) -> bool:
    """Tell whether a class is called like the absence of all classes.

    Example:
        >>> names_nothing("NaN"), names_nothing("__background__"), names_nothing("banana")
        (True, True, False)
    """
    written = name.strip().casefold()
    return written in NOTHING or written.replace(" ", "_") in NOTHING


def names_absence(name: str) -> bool:
    """Tell whether a class is called like a state without any of the other classes.

    Example:
        >>> names_absence("Healthy"), names_absence("rust")
        (True, False)
    """
    return name.strip().casefold() in ABSENCE
