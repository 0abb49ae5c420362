"""Before anything is trained: can every image be opened, and does every mask fit its image?"""

from __future__ import annotations

from affinitynet.data.images import load_image
from affinitynet.engine import for_each_image
from affinitynet.stages.context import Context
from affinitynet.types import InputError, TaggedImage


def check_data(context: Context) -> None:
    """Read every image and mask of the splits in use: better now than hours into a training.

    Raises:
        InputError: one cannot be opened, sizes differ, or no training image has a tag.
    """
    if not any(record.tags for record in context.training_images):
        raise InputError(
            f"split {context.split!r}: none of its {len(context.training_images)} images has a tag of "
            f"{', '.join(context.dataset.classes)}; tag some, or choose another --split"
        )

    def check(record: TaggedImage) -> None:
        load_image(record.path)
        if record.mask is not None:
            context.dataset.mask(record)

    records = context.labelled_images
    for_each_image(
        check, records, total=len(records), workers=context.workers, report=context.report, label="check-data"
    )
