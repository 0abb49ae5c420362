"""Labelling without the other stages: what is ready for it, what is missing of it, and a note of what is being made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from affinitynet.errors import InputError
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.facts import gather_facts
from affinitynet.pipeline.plan import make_plan
from affinitynet.pipeline.run import chosen_stages, noted_versions
from affinitynet.pipeline.table import Stage, stages_of, why_left_out
from affinitynet.records import TaggedImage
from affinitynet.work.contents import Contents
from affinitynet.work.folder import StageRecord

LABELLING = ("make-cams", "make-seeds", "random-walk", "make-masks", "refine-masks", "make-instances", "segment")
"""Stages in which no image depends on another."""

FILES = ("cams", "seeds", "walks", "first_masks", "masks", "refined", "instances", "segmented")
"""Outputs of which each image has a file."""

PATIENCE = 60.0
"""Seconds to wait for another process that notes what it begins."""

NAMED = 6  # shares that are named of those that lack something


def ready_stages(context: Context) -> list[Stage]:
    """Return the labelling stages that have not finished and have the networks they need.

    Raises:
        InputError: there is none, since a network is missing.
    """
    settings = context.adapted.config
    available = {name for name, record in context.work.records().items() if record.finished}
    ready, waiting = [], []
    for stage in stages_of(settings):
        if stage.name in available or why_left_out(stage.name, settings) is not None:
            available.add(stage.name)
        elif stage.name in LABELLING and set(stage.needs) <= available:
            ready.append(stage)
            available.add(stage.name)
        else:
            waiting.append(stage.name)
    if not ready and waiting and waiting[0].startswith("train-"):
        raise InputError(
            f"--work {context.work.root}: nothing to label before {waiting[0]} has run, which needs all images; "
            f"run `affinitynet {waiting[0]}` first"
        )
    return ready


def begin(context: Context, stages: Sequence[Stage]) -> None:
    """Note that stages have begun, so that later runs know under which settings their files were made.

    Raises:
        InputError: settings or images have changed since something in the folder was made, or a run is at work in it.
    """
    work = context.work
    with work.locked(context.runtime.progress.say, PATIENCE):
        contents = Contents(work.contents_file)
        facts, records = gather_facts(context, contents), work.records()
        table = stages_of(context.config)
        plan = make_plan(table, chosen_stages(context.config, None), facts, records, work.root)
        if concerned := [stage.name for stage in plan.forget if stage.name in LABELLING]:
            raise InputError(
                f"--work {work.root}: what went into {', '.join(concerned)} has changed; `affinitynet run` has to make "
                "that anew first"
            )
        for stage in stages:
            if stage.name not in records:
                begun = StageRecord(
                    plan.fingerprints[stage.name], settings=facts[stage.name].settings, versions=noted_versions()
                )
                work.record(stage.name, begun)
        contents.save()


def label(context: Context, stages: Sequence[Stage], number: int, count: int) -> int:
    """Label a share of the images; the share that is done last finishes the stages.

    Args:
        context: a run, alone.
        stages: that :func:`begin` has noted.
        number, count: which share, from 0, of how many.

    Returns:
        How many images the share has.

    Raises:
        InputError: an image cannot be read, or a run has begun meanwhile.
    """
    alone = context.adapted
    own = replace(alone, runtime=context.runtime.as_share(number, count))
    seconds: dict[str, float] = {}
    for stage in stages:
        start = time.monotonic()
        stage.run(own)
        seconds[stage.name] = time.monotonic() - start
    complete = True  # as far as those before are
    with context.work.locked(context.runtime.progress.say, PATIENCE):
        for stage in stages:
            record = context.work.records()[stage.name]
            complete = record.finished or (complete and lacking(context, stage, count) is None)
            if complete and not record.finished:
                stage.run(alone)  # writes what there is once
            spent = round(record.seconds + seconds[stage.name], 2)
            context.work.record(stage.name, replace(record, finished=complete, seconds=spent))
    return len(own.runtime.processes.share(context.target_images))


def lacking(context: Context, stage: Stage, count: int) -> str | None:
    """Say of how many images files of a stage are missing, and to which of ``count`` shares they belong."""
    images = _images(context, stage)
    kinds = [getattr(context.work, output) for output in stage.outputs if output in FILES]
    places = [place for place, record in enumerate(images) if any(record.name not in kind for kind in kinds)]
    if not places:
        return None
    first = images[places[0]].name
    return f"{stage.name}: {len(places)} of {len(images)} missing, the first {first}; of {shares_of(places, count)}"


def shares_of(places: Sequence[int], count: int) -> str:
    """Name the shares that images belong to, by their places in the list.

    Example:
        >>> shares_of([2, 66, 3], 64), shares_of(range(99), 99)
        ('3/64, 4/64', '1/99, 2/99, 3/99, 4/99, 5/99, 6/99 and 93 more')
    """
    numbers = sorted({place % count + 1 for place in places})
    named = ", ".join(f"{number}/{count}" for number in numbers[:NAMED])
    return named if len(numbers) <= NAMED else f"{named} and {len(numbers) - NAMED} more"


def _images(context: Context, stage: Stage) -> list[TaggedImage]:
    """Return the images that a stage makes files of, in the order in which they are shared out."""
    if stage.name == "refine-masks" and not context.adapted.config.refine.masks:
        return []
    if stage.name != "segment":
        return list(context.target_images)
    collection = context.collection
    return list({r.name: r for split in collection.evaluation_splits for r in collection.split(split)}.values())
