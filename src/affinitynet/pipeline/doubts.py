"""How doubtful each mask is, noted while it is made: the review shows the most doubtful ones first."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from torch import Tensor

from affinitynet.ops.decision import doubt
from affinitynet.work.folder import WorkFolder
from affinitynet.work.rows import append_rows, read_rows, write_rows

HEADER = ("image", "doubt", "disagreement")


def note_doubt(table: Path, name: str, scores: Tensor, mask: np.ndarray, before: np.ndarray | None = None) -> None:
    """Note how doubtful a mask is.

    Args:
        table: ``doubts.csv``.
        name: of the image.
        scores: [K + 1, h, w] that it was decided from.
        mask: uint8 [H, W].
        before: what the step before had made of the image.
    """
    differs = 0.0 if before is None else disagreement(before, mask)
    append_rows([(name, f"{doubt(scores):.4f}", f"{differs:.4f}")], table)


def disagreement(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of the pixels of the classes in either mask that differ: 0 where they are equal.

    Example:
        >>> disagreement(np.array([0, 1, 1, 2]), np.array([0, 1, 0, 2]))
        0.3333333333333333
    """
    either = (one > 0) | (other > 0)
    return float((one != other)[either].mean()) if either.any() else 0.0


def order_doubts(table: Path) -> None:
    """Put the table in order: a run that was killed and continued may have noted an image twice."""
    if table.exists():
        write_rows(table, HEADER, sorted({row[0]: row for row in read_rows(table, HEADER)}.values()))


def read_doubts(work: WorkFolder) -> dict[str, tuple[float, float]]:
    """Return image -> how doubtful its mask is, and how much of it the steps disagree on, both in [0, 1].

    Images of folders that an earlier version made are not in it.
    """
    found: dict[str, tuple[float, float]] = {}
    for table in (work.doubts_file, work.doubts_refined_file):
        for name, unsure, differs in read_rows(table, HEADER):
            with suppress(ValueError):  # a line that is torn
                found[name] = (float(unsure), float(differs))
    return found
