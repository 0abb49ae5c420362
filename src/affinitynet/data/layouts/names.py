"""The files that names in tables and lists refer to: exact names first, then tolerantly, never a guess between two."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from affinitynet.data.image_files import EXTENSIONS
from affinitynet.data.layouts.base import check_inside
from affinitynet.data.layouts.text import fold
from affinitynet.errors import InputError, Problems

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
_LOCAL_FILES = re.compile(r"^(?:https?://[^/]+)?/?data/local-files/?\?d=")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://[^/]*/?|^[A-Za-z]:(?=/)")
_SUGGESTIONS = 20
_COMPARED = 2000


@dataclass(frozen=True)
class Name:
    """A name to find.

    Args:
        written: as the table or list writes it.
        where: file and line.
        base: folder below the collection's that it is relative to.
    """

    written: str
    where: str
    base: str = ""


@dataclass(frozen=True)
class _Found:
    """A file that a name refers to.

    Args:
        rule: by which tolerance, ``None`` if the name is exact.
        loose: whether it is right only if no other name refers to that file.
    """

    key: str
    rule: str | None = None
    loose: bool = False


def stem(name: str) -> str:
    """Return a path without the last extension."""
    return posixpath.splitext(name)[0]


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def below_images(name: str) -> str:
    """Return a path as it is below a folder ``images``."""
    return name.removeprefix("images/")


class FileNames:
    """The image files of a collection by the names that people write for them.

    Args:
        root: the collection's folder.
        keys: paths of the files below it, with ``/``.

    Example:
        >>> names = FileNames(Path("shop"), ["a.JPG", "lamps/b.png"])
        >>> problems = Problems()
        >>> names.match([Name("a.jpg", "tags.csv:2"), Name("lamps/b", "tags.csv:3")], problems)
        ['a.JPG', 'lamps/b.png']
        >>> [remark.text for remark in problems.remarks]
        ['names that differ in upper and lower case: a.jpg is a.JPG']
    """

    def __init__(self, root: Path, keys: Iterable[str]) -> None:
        self.root = root
        self.keys = dict.fromkeys(keys)
        self._roots = tuple(dict.fromkeys((root.absolute().as_posix(), root.resolve().as_posix())))
        self._own_name = fold(root.absolute().name)
        self._exact: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        self._by_file: dict[str, list[str]] = {}
        self._by_number: dict[int, list[str]] = {}
        self._folders: set[str] = set()
        for key in self.keys:
            for form in {key, stem(key), below_images(key), stem(below_images(key))}:
                self._exact.setdefault(form, []).append(key)
                self._folded.setdefault(fold(form), []).append(key)
            self._by_file.setdefault(fold(posixpath.basename(key)), []).append(key)
            self._by_file.setdefault(fold(posixpath.basename(stem(key))), []).append(key)
            self._folders.add(fold(posixpath.dirname(key)))
            if (number := _number(posixpath.basename(key))) is not None:
                self._by_number.setdefault(number, []).append(key)
        self._suggested = 0

    def match(self, names: Sequence[Name], problems: Problems) -> list[str | None]:
        """Return the file of each name, ``None`` for a name that ``problems`` recorded.

        Raises:
            InputError: a name refers to no file, to several or to one outside the folder, unless it is recorded.
        """
        found: list[_Found | None] = []
        for name in names:
            found.append(None)
            with problems.noted(name.written, "row"):
                found[-1] = self._find(name)
        claims = self._claims(names, found)
        matched: list[str | None] = []
        for name, match in zip(names, found, strict=True):
            matched.append(None)
            with problems.noted(name.written, "row"):
                if match is not None:
                    self._check_claim(name, match, claims)
                    matched[-1] = match.key
                    if match.rule is not None:
                        problems.taken(match.rule, f"{name.written} is {match.key}")
        return matched

    def _claims(self, names: Sequence[Name], found: Sequence[_Found | None]) -> dict[str, dict[str, bool]]:
        """Return, for every file that a name refers to loosely: the different names for it, and which are loose."""
        contested = {match.key for match in found if match is not None and match.loose}
        claims: dict[str, dict[str, bool]] = {key: {} for key in contested}
        for name, match in zip(names, found, strict=True):
            if match is not None and match.key in contested:
                claims[match.key].setdefault(fold(posixpath.join(name.base, name.written)), match.loose)
        return claims

    def _check_claim(self, name: Name, match: _Found, claims: dict[str, dict[str, bool]]) -> None:
        if match.loose and len(claims[match.key]) > 1:
            raise InputError(
                f"{name.where}: no image {name.written!r} below {self.root}; it may be {match.key}, "
                "but another name may be too; write the path below the folder"
            )

    def _find(self, name: Name) -> _Found:
        written = name.written.replace("\\", "/")
        for exact in dict.fromkeys((posixpath.join(name.base, written), written)):
            if exact in self.keys:
                return _Found(exact)
            if hits := self._exact.get(posixpath.normpath(exact) if "/" in exact else exact):
                return _Found(self._only(hits, name))
        candidates = list(self._candidates(written, name.base))
        for look_up in (self._exactly, self._tolerantly, self._other_suffix, self._without_zeros):
            for text, rule, loose in candidates:
                if (match := look_up(text, name)) is not None:
                    return _Found(match.key, match.rule or rule, match.loose or loose)
        if (match := self._by_file_name(candidates, name)) is not None:
            return match
        check_inside(name.written, name.where)
        raise InputError(
            f"{name.where}: no image {name.written!r} below {self.root}{self._suggestion(written)}; "
            "fix the row or add the image"
        )

    def _candidates(self, written: str, base: str) -> Iterator[tuple[str, str | None, bool]]:
        """Return (path below the folder, rule, loose) of every way to read a name, the likeliest first."""
        for plain in dict.fromkeys((posixpath.join(base, written), written)):
            if "../" not in plain:
                yield posixpath.normpath(plain), None, False
        forms: list[tuple[str, str | None]] = [(written, None)]
        if "%" in written:
            forms.insert(0, (unquote(written), "names with URL escapes such as %20"))
        if "?" in written and _SCHEME.match(written) and not _LOCAL_FILES.match(written):
            forms.insert(0, (unquote(written.partition("?")[0]), "names that are URLs"))
        for text, rule in forms:
            relative = posixpath.normpath(text.strip())
            if rule is not None and "../" not in text:
                yield relative, rule, False
            if _LOCAL_FILES.match(text):
                yield _LOCAL_FILES.sub("", text).lstrip("/"), "names as Label Studio serves local files", False
            file = posixpath.basename(relative)
            if "/upload/" in text and _UPLOAD.match(file):
                yield file, "names that Label Studio gives to uploads", False
                yield _UPLOAD.sub("", file), "names that Label Studio gives to uploads", True
            for root in self._roots:
                if text.removeprefix("file://").startswith(f"{root}/"):
                    yield text.removeprefix("file://")[len(root) + 1 :], "absolute paths inside the folder", False
            if relative.startswith("../") or "/../" in text:
                inside = posixpath.normpath(posixpath.join(self._roots[0], base, relative))
                if inside.startswith(f"{self._roots[0]}/"):
                    yield inside[len(self._roots[0]) + 1 :], "paths that leave the folder and return", False
            first, _, rest = relative.partition("/")
            if rest and fold(first) == self._own_name:
                yield rest, "names that begin with the folder's own name", False

    def _exactly(self, text: str, name: Name) -> _Found | None:
        hits = self._exact.get(text, [])
        return _Found(self._only(hits, name)) if hits else None

    def _tolerantly(self, text: str, name: Name) -> _Found | None:
        """Find a name that differs in composition, then in case, then in blanks."""
        hits = list(dict.fromkeys(self._folded.get(fold(text), [])))
        if not hits:
            return None
        composed = normalize("NFC", text)
        for rule, change in (
            ("names whose accented letters are encoded in another way (composed or decomposed)", str),
            ("names that differ in upper and lower case", str.casefold),
        ):
            near = [key for key in hits if change(composed) in {change(normalize("NFC", form)) for form in _forms(key)}]
            if near:
                return _Found(self._only(near, name), rule)
        return _Found(self._only(hits, name), "names with other blanks or invisible characters")

    def _other_suffix(self, text: str, name: Name) -> _Found | None:
        if _suffix(text) not in EXTENSIONS:
            return None
        hits = list(dict.fromkeys(self._folded.get(fold(stem(text)), [])))
        return _Found(self._only(hits, name), "names with another suffix than the file", loose=True) if hits else None

    def _without_zeros(self, text: str, name: Name) -> _Found | None:
        """Find 0012.jpg by 12: spreadsheets take such names for numbers."""
        number = _number(text)
        hits = [] if number is None else self._by_number.get(number, [])
        return _Found(self._only(hits, name), "numbers without their leading zeros", loose=True) if hits else None

    def _by_file_name(self, candidates: Iterable[tuple[str, str | None, bool]], name: Name) -> _Found | None:
        """Find a name whose folders are not those of the file, as after a move: its last parts decide.

        A name in a folder that exists is a missing file and nothing else, and so is one that exists elsewhere.
        """
        for text, _, _ in candidates:
            path = _SCHEME.sub("", text).lstrip("/")
            file, elsewhere = posixpath.basename(path), text.startswith("/") or _SCHEME.match(text)
            hits = self._by_file.get(fold(file), [])
            tail = [key for key in hits if _shares_tail(key, path)]
            if not hits or ".." in path.split("/") or (not tail and self._has_folder_of(path)):
                continue
            if elsewhere and (_suffix(file) not in EXTENSIONS or _exists(text)):
                continue
            rule = "names in other folders, found by their last parts" if tail else "names found by the file name alone"
            return _Found(self._only(tail or hits, name), rule, loose=True)
        return None

    def _has_folder_of(self, path: str) -> bool:
        """Return whether the folder that a path names, or its end, is one of the collection."""
        parts = fold(posixpath.dirname(path)).split("/")
        return parts != [""] and any("/".join(parts[start:]) in self._folders for start in range(len(parts)))

    def _only(self, hits: Sequence[str], name: Name) -> str:
        different = list(dict.fromkeys(hits))
        if len(different) > 1:
            raise InputError(
                f"{name.where}: {name.written!r} may be {' or '.join(different[:3])}; "
                "write the path below the folder, with its extension"
            )
        return different[0]

    def _suggestion(self, written: str) -> str:
        """Return the nearest file as a question, of the first few misses alone: looking takes a while."""
        self._suggested += 1
        if self._suggested > _SUGGESTIONS:
            return ""
        file = fold(stem(posixpath.basename(written)))
        likely = {fold(posixpath.basename(stem(key))): key for key in self.keys}
        start = [name for name in likely if name[:2] == file[:2]] or list(likely)
        near = get_close_matches(file, start[:_COMPARED], n=1, cutoff=0.7)
        return f" (did you mean {likely[near[0]]!r}?)" if near else ""


def _number(file: str) -> int | None:
    """Return the number that a file is called, with or without extension, or ``None``."""
    text = stem(file)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _forms(key: str) -> tuple[str, ...]:
    return key, stem(key), below_images(key), stem(below_images(key))


def _shares_tail(key: str, path: str) -> bool:
    """Return whether the shorter of two paths is the end of the longer one, and more than a file name."""
    one, other = fold(key).split("/"), fold(path).split("/")
    length = min(len(one), len(other))
    return length > 1 and one[-length:] == other[-length:]


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def artifact_names(keys: Sequence[str], problems: Problems) -> dict[str, str]:
    """Return image path -> artifact name: without the extension where that is unique, even to drives that ignore case.

    Example:
        >>> artifact_names(["a.png", "b.png", "B.jpg"], Problems())
        {'a.png': 'a', 'b.png': 'b.png', 'B.jpg': 'B.jpg'}
    """
    stems = Counter(fold(stem(key)) for key in keys)
    names = {key: below_images(stem(key) if stems[fold(stem(key))] == 1 else key) for key in keys}
    clashes = Counter(map(fold, names.values()))
    whole = {key: stem(key) if stems[fold(stem(key))] == 1 else key for key in keys}
    names = {key: name if clashes[fold(name)] == 1 else whole[key] for key, name in names.items()}
    seen: dict[str, str] = {}
    for key, name in names.items():
        other = seen.setdefault(fold(name), key)
        if other != key:
            problems.warn(
                f"{other} and {key} differ in nothing but case or composition: on drives that ignore it "
                "(Windows, macOS, exFAT) their results overwrite each other; rename one"
            )
    return names
