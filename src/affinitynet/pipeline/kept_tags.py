"""No tagged class is missing in a mask in silence: it gets its strongest place, and a table lists where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.inference.refine import keep_tags
from affinitynet.pipeline.context import Context
from affinitynet.records import ScoreMaps, TaggedImage
from affinitynet.work.rows import append_rows, read_rows, write_rows

HEADER = ("image", "class", "what")
ADDED = "added"
SAID = {
    ADDED: "times a tagged class had no pixel in the mask and was given its strongest place",
    "missing": "times a tagged class is not in the mask, since nothing of it was seen",
}
"""What a row may say of a class, and how it is reported."""


@dataclass(frozen=True)
class Added:
    """How many images have a tagged class in their final mask only because its strongest place was taken.

    Drawn images are not counted: their mask is what somebody drew.

    Args:
        images: that do.
        tagged: those that have a tag.
        table: name of the file that lists them.
    """

    images: int
    tagged: int
    table: str


def kept(
    context: Context, record: TaggedImage, mask: np.ndarray, maps: ScoreMaps, table: Path | None = None
) -> np.ndarray:
    """Return a mask uint8 [H, W] in which no tagged class is missing, as far as ``masks.keep_tags`` wants it.

    Args:
        maps: of the tagged classes, at the size the image was labelled at.
        table: where to note which classes had no pixel.
    """
    if not context.config.masks.keep_tags:
        return mask
    mask, added, missing = keep_tags(mask, maps)
    names = context.collection.classes
    rows = [(record.name, names[number], ADDED) for number in added]
    rows += [(record.name, names[number], "missing") for number in missing]
    if table is not None:  # before the mask is written, so that a run killed in between loses nothing
        append_rows(rows, table)
    return mask


def noted(table: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of a table by the name of their image."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in read_rows(table, HEADER):
        found.setdefault(row[0], []).append(row)
    return found


def count_added(context: Context) -> Added:
    """Count the images of which the final masks' table says that a class was added."""
    work = context.work
    table = work.added_refined_file if any(work.refined.names()) else work.added_file
    tagged = {record.name for record in context.target_images if record.tags and record.drawn is None}
    listed = {image for image, _, what in read_rows(table, HEADER) if what == ADDED}
    return Added(len(tagged & listed), len(tagged), table.name)


def report(context: Context, stage: str, table: Path) -> None:
    """Put a table in order, and say what it holds."""
    if not table.exists():
        return
    rows = read_rows(table, HEADER)
    write_rows(table, HEADER, rows)
    for what, text in SAID.items():
        found = [row for row in rows if row[2] == what]
        if found:
            context.runtime.progress.say(
                f"{stage}: {len(found)} {text}, first {found[0][1]} in {found[0][0]}; see {table.name}"
            )
