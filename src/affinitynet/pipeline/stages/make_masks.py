"""The decision that turns the scores of a step into the first masks.

The scores are kept, so that masks of another background strength or threshold are made at once.
"""

from __future__ import annotations

import csv
import io

import numpy as np
from torch import Tensor

from affinitynet.config.adaptation import given
from affinitynet.data.images import image_size
from affinitynet.data.transforms import reduced_size
from affinitynet.files import write_text
from affinitynet.inference.refine import keep_tags, map_scores, mask_scores
from affinitynet.ops.decision import decide
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import TaggedImage

ADDED, MISSING = "added", "missing"
HEADER = ("image", "class", "what")


def make_masks(context: Context) -> None:
    """Write the first mask of every target image, from the step that ``masks.source`` names.

    Writes ``added.csv``: the tagged classes of which a mask had no pixel.
    """
    config, file = context.config, context.work.added_file

    def make(record: TaggedImage) -> np.ndarray:
        mask = decide(_scores(context, record), record.tags, image_size(record.path))
        if not config.masks.keep_tags:
            return mask
        mask, added, missing = keep_tags(mask, context.work.cams.load(record.name))
        rows = [(record.name, context.collection.classes[number], ADDED) for number in added]
        rows += [(record.name, context.collection.classes[number], MISSING) for number in missing]
        if rows:  # before the mask is written, so that a run killed in between loses nothing
            with file.open("a", encoding="utf-8", errors="surrogateescape", newline="") as table:
                table.write(_rows(rows))
        return mask

    def final(record: TaggedImage) -> np.ndarray:
        refined = context.work.refined
        return (refined if record.name in refined else context.work.first_masks).load(record.name)

    label_images(context, context.work.first_masks, "make-masks", make)
    label_images(context, context.work.masks, "make-masks", final)
    context.runtime.processes.wait()
    if context.runtime.processes.first:
        _report(context)


def _scores(context: Context, record: TaggedImage) -> Tensor:
    """Return the scores that an image's mask is decided from, [K + 1, h, w]."""
    work, config = context.work, context.config
    if config.masks.source == "crf":
        return work.seeds.load(record.name).low
    if config.masks.source == "cams":
        return map_scores(work.cams.load(record.name), given(config.seeds.low_alpha))
    labelled_at = reduced_size(image_size(record.path), config.longest_side)
    walk = work.walks.load(record.name)
    return mask_scores(walk, labelled_at, config.masks, config.crf, lambda: context.image(record))


def _rows(rows: list[tuple[str, str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _report(context: Context) -> None:
    """Put the table in order, and say what it holds."""
    file, say = context.work.added_file, context.runtime.progress.say
    if not file.exists():
        return
    lines = csv.reader(file.read_text("utf-8", "surrogateescape").splitlines())
    rows = sorted({(row[0], row[1], row[2]) for row in lines if len(row) == len(HEADER) and tuple(row) != HEADER})
    write_text(file, _rows([HEADER, *rows]))
    for what, text in (
        (ADDED, "times a tagged class had no pixel in the mask and was given its strongest place"),
        (MISSING, "times a tagged class is not in the mask, since nothing of it was seen"),
    ):
        found = [row for row in rows if row[2] == what]
        if found:
            say(f"make-masks: {len(found)} {text}, first {found[0][1]} in {found[0][0]}; see {file.name}")
