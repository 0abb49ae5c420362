"""Ctrl-C at a chosen moment."""

from collections.abc import Callable
from typing import Any


def interrupted(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """Return a function that does as another one does until its ``call``-th call, which the user interrupts."""
    calls = 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return function(*arguments)

    return counted


class Kill(BaseException):
    """The end of a process at a chosen moment: nothing catches it."""


class Lifetime:
    """A process that dies before it does more than a number of things.

    Args:
        things: that it still does.
    """

    def __init__(self, things: int) -> None:
        self.left = things

    def ending(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of which each call is one of the things."""

        def counted(*arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                raise Kill
            self.left -= 1
            return function(*arguments, **options)

        return counted
