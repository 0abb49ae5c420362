"""What is wrong with the value of a setting, in the words of somebody who has never seen a Python type."""

from __future__ import annotations

import ast
import re

from affinitynet.errors import nearest

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "tuple": "a list like [1, 2]",
    "NoneType": "null",
}
"""Type -> what is to be written for it."""


def in_plain_words(message: str, prefix: str = "") -> str:
    """Return what jsonargparse says of a value of the wrong type, in plain words; another message as it is.

    Args:
        message: in one line.
        prefix: of the setting's name, ``--`` on the command line.

    Example:
        >>> message = 'Parser key "by": Expected a typing.Literal["crf", "walk"]. Got value: wlk'
        >>> in_plain_words(message, "--")
        "--by wlk: has to be crf or walk (did you mean 'walk'?)"
    """
    found = re.match(r'Parser key "([\w.]+)": (.*(?:Expected a|Union subtypes).*) (?:Got|Given) value: (.*)$', message)
    if found is None:
        return message
    name, reason, value = found.groups()
    literals = re.findall(r"Literal\[(.*?)\]", reason)
    words = list(dict.fromkeys(str(word) for literal in literals for word in ast.literal_eval(f"[{literal}]")))
    kinds = [KINDS[kind] for kind in dict.fromkeys(re.findall(r"Expected a <class '(\w+)'>", reason)) if kind in KINDS]
    allowed = [*words, *kinds]
    if not allowed:
        return message
    listed = allowed[0] if len(allowed) == 1 else f"{', '.join(allowed[:-1])} or {allowed[-1]}"
    likely = f" (did you mean {nearest(value, words)!r}?)" if words else ""
    return f"{prefix}{name} {value}: has to be {listed}{likely}"
