"""The tags in one cell, and in which way the cells of a collection separate several."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from affinitynet.data.layouts.json_tables import NotAnnotated
from affinitynet.data.layouts.text import fold, tidy
from affinitynet.errors import InputError, Problems

_SEMICOLONS = re.compile("[;\uff1b]")
_CLEAR = {"line breaks": re.compile("[\n\r\x0b\u2028\u2029]+"), "bars (|)": re.compile(r"\|")}
_COMMAS = re.compile("[,\uff0c\u3001]")
_STRICT = (re.compile(r"/"), re.compile(r"&"), re.compile(r"\+"))
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_BETWEEN = re.compile(r"[\[\](){}<>,;\s]*")


def split_cell(cell: object, where: str) -> tuple[list[str], bool]:
    """Return the tags of a cell, and whether the cell itself says where each ends, as a list does.

    Only semicolons separate tags here; of what else may, :func:`clearly_separated` and :func:`separated` decide.

    Raises:
        InputError: it is neither text nor a number, nor a list of them.

    Example:
        >>> split_cell("['traffic light', 'cat']", "here"), split_cell("cat; dog", "here")
        ((['traffic light', 'cat'], True), (['cat', 'dog'], False))
    """
    if isinstance(cell, NotAnnotated) or cell is None:
        return [], True
    if isinstance(cell, dict) and "choices" in cell:
        cell = cell["choices"]
    if isinstance(cell, int):
        cell = [cell]
    if isinstance(cell, list) and all(isinstance(name, str | int) and not isinstance(name, bool) for name in cell):
        return [str(name).strip() for name in cell if str(name).strip()], True
    if not isinstance(cell, str):
        raise InputError(f'{where} is not a list of tags; write them as ["cat", "dog"]')
    text = cell.strip()
    listed = _listed(text)
    if listed is not None:
        return listed, True
    return [part.strip() for part in _SEMICOLONS.split(text) if part.strip()], False


def _listed(text: str) -> list[str] | None:
    """Return the items of a list as JSON, Python, numpy or a person writes it, ``None`` if the text is no list."""
    if not text or text[0] + text[-1] not in ("[]", "()", "{}"):
        return None
    if text[0] == "{":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and "choices" in content:
            choices = content["choices"]
            choices = choices if isinstance(choices, list) else [choices]
            return [name.strip() for name in choices if isinstance(name, str) and name.strip()]
    quoted = [re.sub(r"\\(.)", r"\1", first or second).strip() for first, second in _QUOTED.findall(text)]
    if quoted and _BETWEEN.fullmatch(_QUOTED.sub("", text)):
        return [name for name in quoted if name]
    if text[0] == "[" and not quoted:
        return [part.strip() for part in re.split("[,;]", text[1:-1]) if part.strip()]
    return None


def clearly_separated(written: Iterable[str], problems: Problems) -> dict[str, list[str]]:
    """Divide the tags that hold line breaks or bars, which no name has, and say so; as :func:`separated`."""
    found = {}
    for tag in dict.fromkeys(written):
        parts = [tag]
        for what, pattern in _CLEAR.items():
            if pattern.search(tag):
                parts = [piece for part in parts for piece in _parts(pattern, part)]
                problems.taken(f"cells whose tags are separated by {what}", _said(parts))
        if parts != [tag]:
            found[tag] = parts
    return found


def separated(cells: list[list[str]], known: Iterable[str], problems: Problems) -> dict[str, list[str]]:
    """Decide of every tag with a comma, a slash ... in it whether it is one tag or several, and say so.

    A comma separates if that leaves nothing but tags that also stand alone or in other company. A slash, & or +
    separates only between tags that all stand alone, a blank only between classes that are certain, in a tag that is
    none of them. Otherwise the tag is kept, with a warning.

    Args:
        cells: the tags of each cell.
        known: class names that are certain, of ``classes.txt``.

    Returns:
        tag as written -> the tags it holds, for each that is divided.

    Example:
        >>> separated([["cat, dog"], ["cat"], ["dog"], ["bed, double"]], (), Problems())
        {'cat, dog': ['cat', 'dog']}
        >>> separated([["cat dog"], ["polar bear"]], ["cat", "dog", "polar bear", "bear"], Problems())
        {'cat dog': ['cat', 'dog']}
    """
    written = dict.fromkeys(tag for cell in cells for tag in cell)
    certain = {fold(name) for name in known}
    alone = {fold(tag) for tag in written if not _COMMAS.search(tag)} | certain
    found: dict[str, list[str]] = {}
    with_commas = {tag: _parts(_COMMAS, tag) for tag in written if _COMMAS.search(tag) and fold(tag) not in certain}
    company: dict[str, set[frozenset[str]]] = {}
    for parts in with_commas.values():
        folded = frozenset(map(fold, parts))
        for part in folded:
            company.setdefault(part, set()).add(folded)
    for tag, parts in with_commas.items():
        if all(fold(part) in alone or (not certain and len(company[fold(part)]) > 1) for part in parts):
            found[tag] = parts
            problems.taken("tags divided at commas, because their parts are tags too", f"{tag!r} is {_said(parts)}")
    kept = [tag for tag in with_commas if tag not in found]
    if kept and len(found) >= 2 * len(kept):  # commas do separate here, and these hold a tag seen nowhere else
        for tag in kept:
            found[tag] = with_commas[tag]
            problems.taken("tags divided at commas, as most others are", f"{tag!r} is {_said(found[tag])}")
    elif kept:
        _warn_of_commas(kept, problems)
    for pattern in _STRICT:
        for tag in [tag for tag in written if pattern.search(tag) and tag not in found and fold(tag) not in certain]:
            parts = _parts(pattern, tag)
            if len(parts) > 1 and all(fold(part) in alone for part in parts):
                found[tag] = parts
                rule = f"tags divided at {pattern.pattern.strip(chr(92))}, because their parts are tags too"
                problems.taken(rule, f"{tag!r} is {_said(parts)}")
    for tag in [tag for tag in written if " " in tag and tag not in found and fold(tag) not in certain]:
        if all(word in certain for word in fold(tag).split(" ")):
            found[tag] = tag.split(" ")
            rule = "tags divided at blanks, because their words are in classes.txt and they are not"
            problems.taken(rule, f"{tag!r} is {_said(found[tag])}")
    _warn_of_blanks([tag for tag in written if tag not in found], certain, problems)
    return found


def _warn_of_commas(kept: list[str], problems: Problems) -> None:
    more = f" ({len(kept)} such tags)" if len(kept) > 1 else ""
    problems.warn(
        f"the tag {kept[0][:60]!r} holds a comma and is kept as one class{more}; "
        "if it is several tags, separate them by semicolons"
    )


def _warn_of_blanks(written: Iterable[str], certain: set[str], problems: Problems) -> None:
    """Warn of tags that look as if blanks separated them: too common inside names to divide there."""
    names = {fold(tag) for tag in written}
    joined = [tag for tag in written if " " in tag and fold(tag) not in certain]
    likely = [tag for tag in joined if all(part in names for part in fold(tag).split(" "))]
    if likely:
        problems.warn(
            f"the tag {likely[0][:60]!r} is kept as one class, though each of its words is a tag too; "
            "if it is several tags, separate them by semicolons"
        )


def _parts(pattern: re.Pattern[str], tag: str) -> list[str]:
    return [part for part in map(tidy, pattern.split(tag)) if part]


def _said(parts: list[str]) -> str:
    return " and ".join(parts)
