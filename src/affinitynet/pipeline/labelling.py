"""Labelling without the other stages: what is ready for it, what is missing of it, and a note of what is being made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from affinitynet.errors import InputError
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.facts import gather_facts
from affinitynet.pipeline.missing import images_of, incomplete
from affinitynet.pipeline.plan import make_plan
from affinitynet.pipeline.run import check_maps, chosen_stages, noted_versions
from affinitynet.pipeline.table import Stage, stages_of, why_left_out
from affinitynet.runtime.processes import Shard
from affinitynet.work.contents import Contents
from affinitynet.work.folder import StageRecord

LABELLING = ("make-cams", "make-seeds", "random-walk", "make-masks", "refine-masks", "make-instances", "segment")
"""Stages in which no image depends on another."""

PATIENCE = 1800.0
"""Seconds to wait for other tasks that note what they begin or have done; each takes a second or two."""

NAMED = 6  # shards that are named of those that lack something


def ready_stages(context: Context) -> list[Stage]:
    """Return the labelling stages that have not finished and have what they need, and see.

    Raises:
        InputError: none has ever finished, and a network is missing.
    """
    settings = context.adapted.config
    available = {name for name, record in context.work.records().items() if record.finished}
    labelled = available & set(LABELLING)
    ready, waiting = [], []
    for stage in stages_of(settings):
        if stage.name in available or why_left_out(stage.name, settings) is not None:
            available.add(stage.name)
        elif stage.name in LABELLING and {*stage.needs, *stage.sees} <= available:
            ready.append(stage)
            available.add(stage.name)
        else:
            waiting.append(stage.name)
    if not ready and not labelled:
        raise InputError(
            f"--work {context.work.root}: nothing to label before {waiting[0]} has run; run `affinitynet {waiting[0]}` "
            "first, in one task"
        )
    return ready


def begin(context: Context, stages: Sequence[Stage]) -> dict[str, str]:
    """Note that stages have begun, so that later runs know under which settings their files were made.

    Returns:
        Stage -> fingerprint of what decides its result.

    Raises:
        InputError: settings or images have changed since something in the folder was made, or a run is at work in it.
    """
    work, contents = context.work, Contents(context.work.contents_file)
    check_maps(context, stages)
    facts, records = gather_facts(context, contents), work.records()
    try:
        plan = make_plan(stages_of(context.config), chosen_stages(context.config, None), facts, records, work.root)
    except InputError as error:
        raise InputError(f"{error} (--force is a flag of `affinitynet run`)") from None
    concerned = [stage.name for stage in plan.forget if stage.name in ("check-data", *LABELLING)]
    if concerned or not records["check-data"].finished:
        raise InputError(
            f"--work {work.root}: what went into {' and '.join(concerned or ['check-data'])} has changed; run "
            "`affinitynet run` first, which makes that anew"
        )
    with work.locked(context.runtime.progress.say, PATIENCE):
        begun = work.records()
        for stage in stages:
            if stage.name not in begun:
                settings, versions = facts[stage.name].settings, noted_versions()
                work.record(
                    stage.name, StageRecord(plan.fingerprints[stage.name], settings=settings, versions=versions)
                )
    return {stage.name: plan.fingerprints[stage.name] for stage in stages}


def label(context: Context, stages: Sequence[Stage], number: int, count: int) -> int:
    """Label a share of the images; the shard that is done last finishes the stages.

    Args:
        context: a run, alone.
        stages: of :func:`ready_stages`.
        number, count: which shard, from 0, of how many.

    Returns:
        How many images the shard has.

    Raises:
        InputError: as :func:`begin`, an image cannot be read, or a run has changed something meanwhile.
    """
    begun = begin(context, stages)
    alone = context.adapted
    own = replace(alone, runtime=context.runtime.by(Shard(number, count)))
    seconds: dict[str, float] = {}
    for stage in stages:
        start = time.monotonic()
        stage.run(own)
        seconds[stage.name] = time.monotonic() - start
    complete = _complete(context, stages)
    with context.work.locked(context.runtime.progress.say, PATIENCE):
        for stage in stages:
            record = context.work.records().get(stage.name)
            if record is None or record.fingerprint != begun[stage.name]:
                raise InputError(
                    f"--work {context.work.root}: a run has changed {stage.name} while this shard was labelled; start "
                    "the shard again"
                )
            if stage in complete and not record.finished:
                stage.run(alone)  # writes what there is once
                context.work.sweep(stage.outputs)
            spent, finished = round(record.seconds + seconds[stage.name], 2), record.finished or stage in complete
            context.work.record(stage.name, replace(record, finished=finished, seconds=spent))
    return len(own.runtime.processes.share(context.target_images))


def _complete(context: Context, stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages of which, and of those before them, all images have their files."""
    return list(takewhile(lambda stage: lacking(context, stage, 1) is None, stages))


def lacking(context: Context, stage: Stage, count: int) -> str | None:
    """Say how many images lack files of a stage, and which of ``count`` shards they belong to."""
    images, places = images_of(context, stage), incomplete(context, stage)
    if not places:
        return None
    first = images[places[0]].name
    return f"{stage.name}: {len(places)} of {len(images)} missing, the first {first}; of {shards_of(places, count)}"


def shards_of(places: Sequence[int], count: int) -> str:
    """Name the shards that images belong to, by their places in the list.

    Example:
        >>> shards_of([2, 66, 3], 64), shards_of(range(99), 99)
        ('3/64, 4/64', '1/99, 2/99, 3/99, 4/99, 5/99, 6/99 and 93 more')
    """
    numbers = sorted({place % count + 1 for place in places})
    named = ", ".join(f"{number}/{count}" for number in numbers[:NAMED])
    return named if len(numbers) <= NAMED else f"{named} and {len(numbers) - NAMED} more"
