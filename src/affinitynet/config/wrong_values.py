"""What is wrong with the value of a setting, in the words of somebody who has never seen a Python type."""

from __future__ import annotations

import difflib
import operator
import re
from dataclasses import is_dataclass
from functools import reduce
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError

WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}
SEVERAL: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "words"}

ALIKE = 0.5  # share of its letters from which a word may be meant


def allowed(hint: Any) -> str:
    """Return what a type allows, in plain words.

    Example:
        >>> allowed(int | None), allowed(tuple[float, float]), allowed(tuple[str, ...])
        ('a whole number or null', 'a list of 2 numbers', 'a list of words')
        >>> allowed(Literal["cams", "crf", "walk"] | None)
        'cams, crf, walk or null'
    """
    parts: list[str] = []
    for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        if get_origin(option) is Literal:
            parts += map(str, get_args(option))
        elif get_origin(option) is tuple:
            inner = [kind for kind in get_args(option) if kind is not Ellipsis]
            count = "" if Ellipsis in get_args(option) else f"{len(inner)} "
            parts.append(f"a list of {count}{SEVERAL.get(inner[0], 'values')}")
        else:
            parts.append(WORDS.get(option, "settings of its own"))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def type_of(setting: str) -> Any:
    """Return the type of a setting, ``masks.source``; ``None`` if there is no such setting.

    Example:
        >>> type_of("walk.steps"), type_of("walk.style")
        (<class 'int'>, None)
    """
    hint: Any = PipelineConfig
    for name in setting.split("."):
        hint = get_type_hints(hint).get(name) if isinstance(hint, type) and hasattr(hint, "__annotations__") else None
    return hint


def in_plain_words(message: str, prefix: str = "") -> str:
    """Return what jsonargparse says of a value of the wrong type, in plain words; another message as it is.

    Args:
        message: in one line.
        prefix: of the setting's name, ``--`` on the command line.

    Example:
        >>> message = 'Parser key "masks.source": Expected a typing.Literal["crf", "walk"]. Got value: wlk'
        >>> in_plain_words(message, "--")
        '--masks.source wlk: has to be auto, cams, crf or walk (did you mean walk?)'
    """
    found = re.match(r'Parser key "(?:config\.)?([\w.]+)": (.*) (?:Got|Given) value: (.*)$', message)
    if found is None:
        return message
    name, reason, value = found.groups()
    hint = type_of(name) or _type_named(reason)
    if hint is None:
        return message
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    words = [str(word) for option in options if get_origin(option) is Literal for word in get_args(option)]
    likely = difflib.get_close_matches(value, words, 1, ALIKE)
    meant = f" (did you mean {likely[0]}?)" if likely else ""
    return f"{prefix}{name} {value}: has to be {allowed(hint)}{meant}"


def _type_named(reason: str) -> Any:
    """Return the type that a message names, of a flag that is no setting."""
    kinds: dict[str, Any] = {kind.__name__: kind for kind in WORDS}
    named = [kinds[kind] for kind in dict.fromkeys(re.findall(r"<class '(\w+)'>", reason)) if kind in kinds]
    named = [kind for kind in named if not ("Given value type" in reason and kind is str)]
    literal = re.search(r"Literal\[([^\]]*)\]", reason)
    if literal is not None:
        named.append(Literal[tuple(word.strip("' \"") for word in literal[1].split(","))])
    return reduce(operator.or_, named) if named else None


def check_nulls(values: dict, kind: Any, source: str, prefix: str = "") -> None:
    """Raise if a setting that needs a value has none.

    Args:
        values: nested settings whose names are known.
        kind: of settings, a dataclass.
        source: names them in the error.

    Raises:
        InputError: there is one.
    """
    hints = get_type_hints(kind)
    for name, value in values.items():
        if isinstance(value, dict) and is_dataclass(hints[name]):
            check_nulls(value, hints[name], source, f"{prefix}{name}.")
        elif value is None and NoneType not in get_args(hints[name]):
            raise InputError(f"{source}: {prefix}{name}: is empty; it has to be {allowed(hints[name])}")
