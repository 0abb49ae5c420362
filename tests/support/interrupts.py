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
