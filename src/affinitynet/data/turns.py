"""One of each kind in turn, so that the first few show all kinds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import TypeVar

Item = TypeVar("Item")


def in_turn(groups: Iterable[Iterable[Item]]) -> list[Item]:
    """Return the items of some groups, one of each group in turn; one that is in several groups is returned once.

    Items have to be hashable.

    Example:
        >>> in_turn(["abc", "x", "by"])
        ['a', 'x', 'b', 'y', 'c']
    """
    nothing = object()
    turns = zip_longest(*groups, fillvalue=nothing)
    return list(dict.fromkeys(item for turn in turns for item in turn if item is not nothing))  # type: ignore[misc]
