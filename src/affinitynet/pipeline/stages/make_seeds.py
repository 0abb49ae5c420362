"""Class activation maps -> confident seeds by the dense CRF (docs/method.md, "Confident seeds")."""

from __future__ import annotations

from affinitynet.inference.refine import find_seeds
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import Seeds, TaggedImage


def make_seeds(context: Context) -> None:
    """Write the dense CRF's scores of every target image, at the low and at the high background strength."""

    def make(record: TaggedImage) -> Seeds:
        cams = context.work.cams.load(record.name)
        return find_seeds(context.image(record), cams, context.config, context.runtime.device)

    label_images(context, context.work.seeds, "make-seeds", make)
