"""Before anything is trained: can every image be opened, and does every mask fit its image?"""

from __future__ import annotations

from affinitynet.config.adaptation import is_open
from affinitynet.data.facts import write_facts
from affinitynet.data.image_facts import ImageFacts, image_facts
from affinitynet.data.images import read_image
from affinitynet.data.survey import survey
from affinitynet.data.values import Measured, ranges_of, remarks_of
from affinitynet.errors import InputError, LeftOut, Problems
from affinitynet.files import write_json
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.machine import LABELLED, chosen_precision
from affinitynet.records import TaggedImage
from affinitynet.work.drive import refused_names
from affinitynet.work.folder import save_left_out

STAGE = "check-data"


def check_data(context: Context) -> None:
    """Read every image and mask of the splits in use: better now than hours into a training.

    Writes ``left_out.csv``: what cannot be used, where ``on_error`` lets the rest go on; ``collection.json``: what the
    images, tags and masks are like; ``values.json``: how images of more than 8 bits are read, if there are some; and
    ``drawn``: the masks to learn from, if there are some.

    Raises:
        InputError: something cannot be used and ``on_error`` is "stop", or it is half of all; or there is no training
            image, or none of them has a tag.
    """
    records = context.unchecked.targets(context.split)
    problems = Problems(context.config.on_error)
    facts: dict[str, ImageFacts] = {}
    refused = refused_names(context.work.root, [record.name for record in records])
    measured: dict[str, Measured] = {}
    notes: dict[str, str] = {}

    def check(record: TaggedImage) -> None:
        if not record.path.exists():  # it was a moment ago: not the image is at fault
            raise InputError(f"{record.path}: is no longer there; keep the folder available during the run")
        with problems.noted(record.name, "image"):
            if record.name in refused:
                raise InputError(refused[record.name])
            found, mask = read_image(record.path, measured=True), None
            if found.note:
                notes[record.name] = found.note
            if found.measured:
                measured[record.name] = found.measured
            if record.truth is not None:
                with problems.noted(record.name, "mask"):
                    mask = context.unchecked.mask(record, problems)
            elif record.drawn is not None:
                with problems.noted(record.name, "mask"):
                    mask = context.unchecked.drawn(record, problems)
                    context.work.drawn.save(record.name, mask)
            facts[record.name] = image_facts(record.path, found.pixels, mask)

    for name in list(context.work.drawn.names()):  # of a run that was killed before this stage had finished
        context.work.drawn.path(name).unlink()
    context.runtime.for_each_image("check-data", check, records)
    rows = context.unchecked.left_out
    left_out = (*rows, *sorted(problems.found, key=lambda left: left.name))
    _check_rest(context, left_out, len(records) + len({row.name for row in rows}))
    for name, note in sorted(notes.items()):
        problems.taken(note, name)
    _save_values(context, measured, problems)
    context.work.left_out_file.unlink(missing_ok=True)  # that of a run that was killed before this stage had finished
    if left_out:
        context.runtime.progress.say(f"check-data: {len(left_out)} skipped, the first: {left_out[0].reason}")
        save_left_out(context.work.left_out_file, left_out)
    usable = context.unchecked.without(left_out)
    networks = ("classifier", context.config.propagation, "segmenter", *LABELLED)
    undecided = [name for name in networks if is_open(context.given, f"{name}.precision")]
    if context.runtime.processes.first and undecided:
        backbone = build_backbone(context.config.network, context.config.taps)
        context.decide(chosen_precision(backbone, context.runtime.device, undecided, STAGE))
    write_facts(context.work.collection_file, survey(usable, context.split, facts, left_out, problems.remarks))


def _save_values(context: Context, measured: dict[str, Measured], problems: Problems) -> None:
    """Write which values become black and white in the images of more than 8 bits, and say so."""
    context.work.values_file.unlink(missing_ok=True)
    ranges = ranges_of(measured.values())
    if ranges is not None:
        write_json(context.work.values_file, ranges.settings)
        remarks_of(measured, ranges, problems)


def _check_rest(context: Context, left_out: tuple[LeftOut, ...], total: int) -> None:
    """Raise if too little is left to learn from."""
    unusable = len({left.name for left in left_out})
    if left_out and 2 * unusable >= total:
        raise InputError(
            f"{left_out[0].reason} ({unusable} of {total} images cannot be used; half of them may be left out at most)"
        )
    images = context.unchecked.without(left_out).split(context.split)
    if not images:
        raise InputError(
            f"split {context.split!r}: lists no image that can be used; add some to it, or choose another --split"
        )
    if not any(record.tags for record in images):
        raise InputError(
            f"split {context.split!r}: none of its {len(images)} images has a tag of "
            f"{', '.join(context.collection.classes)}; tag some, or choose another --split"
        )
