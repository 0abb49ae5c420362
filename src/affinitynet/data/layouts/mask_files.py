"""Ground-truth masks of a plain folder: which files are masks, and to which images they belong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from affinitynet.data.image_files import PassedOver
from affinitynet.data.layouts.names import below_images, stem
from affinitynet.data.layouts.text import fold
from affinitynet.data.truth import PngMask
from affinitynet.errors import Problems

MASK_FOLDER = "masks"
OTHER_FOLDERS = ("mask", "segmentationclass", "ground_truth", "groundtruth", "annotations", "labels")
"""Folders (in any case) that hold masks if their pictures look like it, where there is no ``masks``."""

DRAWN_FOLDER = "drawn"
"""Folder of masks to learn from; they look like masks, or else it holds images."""

_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
_MARKS = re.compile(r"[ _.-]*(masks?|seg|segmentation|gt|groundtruth|ground_truth|labels?|labelids|annotation)$")


def mask_folder(keys: Sequence[str], root: Path) -> str | None:
    """Return the folder, of those at the top, that holds masks and not images, or ``None``.

    A folder of another name than ``masks`` has to hold single-channel pictures that are called as the images are.
    """
    folders = _top_folders(keys)
    by_name = {fold(name): name for name in reversed(folders)}
    if MASK_FOLDER in by_name:
        return by_name[MASK_FOLDER]
    for name in OTHER_FOLDERS:
        if (folder := by_name.get(name)) is not None and looks_like_masks(folder, keys, root):
            return folder
    return None


def drawn_folder(keys: Sequence[str], root: Path) -> str | None:
    """Return the folder, of those at the top, that holds masks to learn from, or ``None``."""
    folders = _top_folders(keys)
    name = next((name for name in folders if fold(name) == DRAWN_FOLDER), None)
    return name if name is not None and looks_like_masks(name, keys, root) else None


def _top_folders(keys: Sequence[str]) -> list[str]:
    parts = (key.partition("/") for key in keys)
    return list(dict.fromkeys(first for first, _, rest in parts if rest))


def looks_like_masks(folder: str, keys: Sequence[str], root: Path) -> bool:
    """Return whether a folder at the top holds single-channel pictures that are called as the images beside it are."""
    held = [key for key in keys if key.startswith(f"{folder}/")]
    images = {fold(stem(below_images(key))) for key in keys if not key.startswith(f"{folder}/")}
    called = sum(bool(images & set(_forms(key.removeprefix(f"{folder}/")))) for key in held)
    return 2 * called >= len(held) and all(_has_one_channel(root / key) for key in held[:3])


def _has_one_channel(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.mode in ("1", "L", "P", "I", "I;16", "I;16B")
    except Exception:  # whatever is wrong with it, it is not evidently a mask
        return False


def _forms(name: str) -> list[str]:
    """Return the image names, folded and without suffix, that a mask's name may stand for; the plain one first."""
    plain = fold(stem(below_images(name)))
    forms = [plain]
    for form in (plain, _MARKS.sub("", plain)):
        forms += [form, stem(form) if PurePosixPath(form).suffix[1:].isalpha() else form]
    return [form for form in dict.fromkeys(forms) if form and not form.endswith("/")]


class MaskFiles:
    """The masks of a folder.

    Args:
        root: the collection's folder.
        folder: the masks' folder below it, or ``None`` if there are none.
        keys: paths of the files in it, below ``root``.
    """

    def __init__(self, root: Path, folder: str | None, keys: Iterable[str]) -> None:
        self.root, self.folder = root, folder
        self.unused = dict.fromkeys(keys)
        self._inner = {key.partition("/")[2]: key for key in self.unused}

    def assign(self, images: Sequence[str], problems: Problems) -> dict[str, PngMask]:
        """Return image -> its mask: exact names first, then the others, never one of two.

        What was taken tolerantly and the masks that belong to no image are said.
        """
        if not self.unused:
            return {}
        found = {image: key for image in images if (key := self._exact(image)) is not None}
        for key in found.values():
            self.unused.pop(key, None)
        rest: dict[str, list[str]] = {}
        for key in self.unused:
            if PurePosixPath(key).suffix.lower() in _SUFFIXES:
                for form in _forms(key.partition("/")[2]):
                    rest.setdefault(form, []).append(key)
        for image in images if rest else ():
            masks = rest.get(fold(stem(image))) or rest.get(fold(stem(below_images(image)))) or []
            if image in found or not masks:
                continue
            if len(masks) > 1:
                problems.warn(f"{image} may have the mask {' or '.join(masks[:3])}, so none is used; remove the others")
                continue
            problems.taken("masks whose names are not just the image's with .png", f"{masks[0]} is that of {image}")
            found[image] = masks[0]
        for key in found.values():
            self.unused.pop(key, None)
        self._say(found, problems)
        return {image: PngMask(self.root / key) for image, key in found.items()}

    def _exact(self, image: str) -> str | None:
        names = (name for key in (image, below_images(image)) for name in (f"{key}.png", f"{stem(key)}.png"))
        return next((self._inner[name] for name in names if name in self._inner), None)

    def _say(self, found: dict[str, str], problems: Problems) -> None:
        if self.folder not in (None, MASK_FOLDER, DRAWN_FOLDER) and found:
            problems.taken(f"ground-truth masks read from {self.folder}/", next(iter(found.values())))
        if self.unused:
            example = next(iter(self.unused))
            what = "mask belongs" if len(self.unused) == 1 else "masks belong"
            problems.warn(f"{len(self.unused)} {what} to no image, for example {example}; name them as the images are")

    def passed_over(self) -> tuple[PassedOver, ...]:
        """Return the files that are masks of no image."""
        return tuple(PassedOver(self.root / key, "a mask that belongs to no image") for key in self.unused)
