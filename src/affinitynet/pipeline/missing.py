"""Which images a stage makes files of, and which of them lack one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from affinitynet.pipeline.table import Stage
from affinitynet.records import TaggedImage
from affinitynet.work.artifacts import KINDS, Artifacts

if TYPE_CHECKING:
    from affinitynet.pipeline.context import Context


def images_of(context: Context, stage: Stage) -> tuple[TaggedImage, ...]:
    """Return the images of which a finished stage has files, in the order in which they are shared out."""
    if stage.name == "check-data":
        return tuple(record for record in context.target_images if record.drawn is not None)
    if stage.name == "refine-masks" and not context.adapted.config.refine.masks:
        return ()
    if stage.name == "train-segmenter":  # its labels are of use between two rounds only
        return ()
    return context.unseen_images if stage.name == "segment" else context.target_images


def incomplete(context: Context, stage: Stage) -> list[int]:
    """Return which of the images of :func:`images_of`, by their places, lack a file of a stage."""
    kinds = [Artifacts(context.work.root, KINDS[output]) for output in stage.outputs if output in KINDS]
    images = images_of(context, stage)
    return [place for place, record in enumerate(images) if any(record.name not in kind for kind in kinds)]
