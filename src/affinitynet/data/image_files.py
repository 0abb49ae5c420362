"""Which files below a folder are images, and what the others are: the one walk over folders there is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from affinitynet.data.formats import HEAD, OPTIONAL_SUFFIXES, SUFFIXES, cure_for, format_of

EXTENSIONS = SUFFIXES | frozenset(OPTIONAL_SUFFIXES)
"""Suffixes (lower case) of the files that are images by their names."""

NOT_AN_IMAGE = "not an image"
NAMED_SUFFIXES = 6

_OF_NETWORK_DRIVES = "@eaDir @Recycle #recycle #snapshot lost+found"
_OF_SYSTEMS = "__MACOSX Icon\r $RECYCLE.BIN RECYCLER Thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini"
_WITH_BLANKS = ("System Volume Information", "Network Trash Folder", "Temporary Items")
JUNK = frozenset(name.lower() for name in (*_OF_NETWORK_DRIVES.split(), *_OF_SYSTEMS.split(" "), *_WITH_BLANKS))
"""Names (lower case) of what systems and network drives leave behind; and so is what begins with a dot or with "~$"."""

PREDICTED = "affinitynet.json"
"""Name of the file that ``predict`` writes beside its masks."""

OWN = (frozenset(("config.yaml", "stages.json")), frozenset((PREDICTED,)))
"""Files that make a folder one that affinitynet wrote: a work folder, and what ``predict`` writes."""

_TEXTS = ".txt .csv .tsv .xml .json .jsonl .yaml .yml .md .html .htm .css .js .py .ipynb .log .toml .cfg .ini .svg"
_OTHERS = (
    ".xlsx .xls .docx .pdf .zip .tar .gz .npy .npz .mat .h5 .pt .pth .safetensors .onnx .mp4 .mov .avi .mkv .exe .db"
)
_NEVER_IMAGES = frozenset(f"{_TEXTS} {_OTHERS}".split())
"""Suffixes that no image has, so that the files are not opened to see what they are."""


@dataclass(frozen=True)
class PassedOver:
    """A file or folder that is not used as an image.

    Args:
        path: the file.
        reason: why, in a few words: files of one reason are counted together.
        picture: whether it shows something that its owner may have wanted to be used.
    """

    path: Path
    reason: str
    picture: bool = False


@dataclass(frozen=True)
class ImageFiles:
    """What is below a folder.

    Args:
        root: the folder.
        images: the image files, by their paths.
        passed_over: the files that are not used as images, by their paths.
        junk: how many files and folders of systems were left alone; they are not in ``passed_over``.
    """

    root: Path
    images: tuple[Path, ...]
    passed_over: tuple[PassedOver, ...]
    junk: int = 0


def find_image_files(root: Path, without: Collection[Path] = ()) -> ImageFiles:
    """Return every file below ``root``: images and the rest.

    Suffixes that images have are trusted; other files are images if their first bytes are those of one. Links to
    folders are followed, each real folder once and never back up. What systems leave behind is left alone, and so are
    folders that affinitynet wrote.

    Args:
        without: folders to be left alone.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = (root / "scan").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n ..."), (root / "notes.txt").write_text("hello")
        >>> found = find_image_files(root)
        >>> [path.name for path in found.images], summary_of(found.passed_over)
        (['scan'], ['1 file is not an image (.txt)'])
    """
    walk = _Walk(root, {_identity(path) for path in without if path.is_dir()})
    return ImageFiles(
        root,
        tuple(sorted(walk.images)),
        tuple(sorted(walk.passed_over, key=lambda found: found.path)),
        walk.junk,
    )


def summary_of(passed_over: Iterable[PassedOver]) -> list[str]:
    """Say in a line a reason how many files were not used, and of which kinds.

    Example:
        >>> summary_of([PassedOver(Path("a.txt"), NOT_AN_IMAGE), PassedOver(Path("b.xml"), NOT_AN_IMAGE)])
        ['2 files are not images (.txt, .xml)']
        >>> summary_of([PassedOver(Path("a.heic"), "HEIC: pip install 'affinitynet[heic]'", picture=True)])
        ["1 file is not read; HEIC: pip install 'affinitynet[heic]'"]
    """
    groups: dict[str, list[Path]] = {}
    for found in passed_over:
        groups.setdefault(found.reason, []).append(found.path)
    lines = []
    for reason, paths in sorted(groups.items(), key=lambda group: -len(group[1])):
        several = len(paths) > 1
        count = f"{len(paths):,} files are" if several else "1 file is"
        if reason == NOT_AN_IMAGE:
            lines.append(f"{count} not {'images' if several else 'an image'} ({_suffixes(paths)})")
        else:
            lines.append(f"{count} not read; {reason}")
    return lines


def _suffixes(paths: list[Path]) -> str:
    """Return the suffixes of files, the most frequent first."""
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    names = [suffix for suffix, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return ", ".join(names[:NAMED_SUFFIXES]) + (" ..." if len(names) > NAMED_SUFFIXES else "")


@dataclass
class _Walk:
    """A walk in progress.

    Args:
        root: where it begins.
        seen: folders that are not entered (again).
    """

    root: Path
    seen: set[tuple[int, int] | str]
    images: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    junk: int = 0

    def __post_init__(self) -> None:
        above = {_identity(parent) for parent in self.root.resolve().parents}
        links: list[Path] = []
        self._enter(self.root, links)
        while links:  # after all real folders, so that a file has the name it has without links
            for link in sorted(links):
                links.remove(link)
                if _identity(link) in self.seen | above:
                    self.passed_over.append(PassedOver(link, "links to folders that are read anyway or hold this one"))
                else:
                    self._enter(link, links)

    def _enter(self, top: Path, links: list[Path]) -> None:
        """Go through a folder and the real folders below it; note the links to folders."""
        folders = [top]
        while folders:
            folder = folders.pop()
            identity = _identity(folder)
            if identity in self.seen:
                continue
            self.seen.add(identity)
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                self.passed_over.append(PassedOver(folder, f"folders that cannot be opened ({error.strerror})", True))
                continue
            if folder != self.root and _is_own({entry.name for entry in entries}):
                self.passed_over.append(PassedOver(folder, "folders that affinitynet wrote"))
                continue
            for entry in self._wanted(entries):
                path = folder / entry.name
                if _is(entry.is_dir):
                    (links if entry.is_symlink() else folders).append(path)
                else:
                    self._file(path, entry)

    def _wanted(self, entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            if entry.name.startswith((".", "~$")) or entry.name.lower() in JUNK:
                self.junk += 1
            else:
                yield entry

    def _file(self, path: Path, entry: os.DirEntry[str]) -> None:
        if not _is(entry.is_file):
            self.passed_over.append(PassedOver(path, "links to nothing, pipes and devices"))
            return
        suffix = path.suffix.lower()
        name = OPTIONAL_SUFFIXES.get(suffix) or ("" if suffix in SUFFIXES else _sniffed(path, suffix))
        if name is None:
            self.passed_over.append(PassedOver(path, NOT_AN_IMAGE))
        elif cure := cure_for(name):
            self.passed_over.append(PassedOver(path, f"{name}: {cure}", picture=True))
        else:
            self.images.append(path)


def _sniffed(path: Path, suffix: str) -> str | None:
    """Return the format that the first bytes tell, ``None`` if they are not those of a picture."""
    if suffix in _NEVER_IMAGES:
        return None
    try:
        with path.open("rb") as file:
            return format_of(file.read(HEAD))
    except OSError:
        return None


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself
        return False


def _is_own(names: set[str]) -> bool:
    return any(own <= names for own in OWN)


def _identity(folder: Path) -> tuple[int, int] | str:
    """Return what tells a real folder from others; some network drives number all files 0."""
    stat = folder.stat()
    return (stat.st_dev, stat.st_ino) if stat.st_ino else str(folder.resolve())
