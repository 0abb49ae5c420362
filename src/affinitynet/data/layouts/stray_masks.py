"""Masks that belong to no image: a misspelt name must not cost the measurement silently."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from affinitynet.errors import Problems
from affinitynet.records import TaggedImage


def warn_of_stray_masks(root: Path, images: Iterable[Path], records: Iterable[TaggedImage], problems: Problems) -> None:
    """Warn of pictures in ``masks/`` that are not the ground truth of any image.

    Args:
        images: the image files below ``root``, those in ``masks/`` too.
        records: the images of the collection.
    """
    used = {path for record in records for path in (record.path, record.truth.file if record.truth else None)}
    folder = root / "masks"
    stray = [path for path in images if path not in used and path.is_relative_to(folder)]
    if stray:
        first = stray[0].relative_to(root).as_posix()
        belongs = "mask belongs" if len(stray) == 1 else "masks belong"
        problems.warn(f"{len(stray):,} {belongs} to no image ({first}): name a mask like its image, with .png")
