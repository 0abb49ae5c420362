"""Running the stages: skip what is finished and unchanged, resume what was interrupted, never overwrite unasked.

What is done with each stage is decided by :mod:`affinitynet.pipeline.plan`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from affinitynet.config.config_file import stored_versions, to_dict
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import Collection, open_collection
from affinitynet.errors import InputError, did_you_mean
from affinitynet.files import read_json, write_text
from affinitynet.pipeline.facts import gather_facts
from affinitynet.pipeline.plan import Facts, Plan, make_plan
from affinitynet.pipeline.table import STAGES, Stage
from affinitynet.runtime.memory import give_back_freed_memory, peak_memory
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import DeviceName, Runtime
from affinitynet.work.contents import Contents
from affinitynet.work.folder import StageRecord, WorkFolder

if TYPE_CHECKING:
    from affinitynet.pipeline.context import Context

NOTED_VERSIONS = ("affinitynet", "torch", "timm")


def run_pipeline(
    data: Path | str,
    work: Path | str,
    config: PipelineConfig | None = None,
    *,
    stages: Sequence[str] | None = None,
    device: DeviceName = "auto",
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Turn a tagged collection into masks; skip what is finished and unchanged.

    Args:
        data: a VOC devkit folder, or a folder of images with ``tags.csv`` or ``tags.json``.
        work: where artifacts go (see ``docs/work-folder.md``).
        config: settings; the default is the measured recipe of ``lite``.
        stages: names of those to run; all by default.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        workers: images in parallel; by default one a core.
        force: recompute stages that the work folder holds under other settings.
        progress: where bars and messages go; by default only to the work folder's ``log.txt``.

    Returns:
        The content of ``metrics.json``, empty before ``evaluate`` ran.

    Raises:
        InputError: the input is wrong; the message says what, where and how to fix it.
    """
    runtime = Runtime(device, workers, progress or Progress(WorkFolder(Path(work)).log_file))
    return run_stages(data, work, config or PipelineConfig(), stages, runtime, force)


def run_stages(
    data: Path | str,
    work: Path | str,
    config: PipelineConfig,
    stages: Sequence[str] | None,
    runtime: Runtime,
    force: bool = False,
) -> dict[str, Any]:
    """Do as :func:`run_pipeline`, on a runtime that has been started."""
    folder = WorkFolder(Path(work))
    folder.check_is_ours()
    context = open_context(Path(data), folder, config, runtime)
    chosen = _chosen(stages)
    if any(stage.name == "train-segmenter" for stage in chosen):
        _check_segmenter(context)
    contents = Contents(folder.contents_file)
    facts, plan = _plan(context, contents, chosen, force)
    with folder.locked() if runtime.processes.first else nullcontext():
        _begin(context, Path(data), contents, plan)
        for stage in chosen:
            _run_stage(context, stage, plan, facts[stage.name])
            if stage.name == "check-data":
                context = replace(context, collection=_checked(context.unchecked, folder))
                facts, plan = _plan(context, contents, chosen, force)
                _begin(context, Path(data), contents, plan)
    return read_json(folder.metrics_file) if folder.metrics_file.exists() else {}


def open_context(data: Path, folder: WorkFolder, config: PipelineConfig, runtime: Runtime) -> Context:
    """Open a collection with the settings and the work folder it is to be run with.

    Raises:
        InputError: the collection is not as it should be, or has no such split.
    """
    collection = open_collection(data, config.classes, config.on_error)
    split = config.split or collection.default_split
    collection.split(split)

    from affinitynet.pipeline.context import Context

    return Context(
        collection=_checked(collection, folder),
        unchecked=collection,
        work=folder,
        config=replace(config, split=split, classes=collection.classes),
        split=split,
        runtime=runtime,
    )


def _checked(collection: Collection, folder: WorkFolder) -> Collection:
    """Return a collection as check-data found it: without what cannot be used, and with the range of its values."""
    return collection.without(folder.left_out()).with_values(folder.values())


def _chosen(names: Sequence[str] | None) -> list[Stage]:
    known = {stage.name: stage for stage in STAGES}
    for name in names or ():
        if name not in known:
            raise InputError(f"stage {name!r}: unknown; known: {', '.join(known)} {did_you_mean(name, known)}")
    return [stage for stage in STAGES if names is None or stage.name in names]


def _check_segmenter(context: Context) -> None:
    """Raise if the segmentation network cannot be built, before hours are spent on its masks."""
    from affinitynet.pipeline.stages.train_segmenter import check_segmenter

    check_segmenter(context.config, context.collection.classes)


def _plan(context: Context, contents: Contents, chosen: Sequence[Stage], force: bool) -> tuple[dict[str, Facts], Plan]:
    facts = gather_facts(context, contents)
    return facts, make_plan(STAGES, chosen, facts, context.work.records(), context.work.root, force)


def _begin(context: Context, data: Path, contents: Contents, plan: Plan) -> None:
    """Note the settings, and forget what was made under others."""
    processes, work = context.runtime.processes, context.work
    processes.wait()  # all have read the records that the first one is about to change
    if processes.first:
        for stage in plan.forget:
            work.forget(stage.name, stage.outputs)
        began_with = stored_versions(work.config_file) if work.config_file.exists() else None
        content = {"data": str(data.resolve()), **to_dict(context.config), "versions": began_with or _versions()}
        write_text(work.config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        contents.save()
    processes.wait()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in NOTED_VERSIONS}}


def _run_stage(context: Context, stage: Stage, plan: Plan, facts: Facts) -> None:
    """Run a stage unless it is finished; keep its time even if it is interrupted."""
    work, processes, progress = context.work, context.runtime.processes, context.runtime.progress
    known = work.records().get(stage.name)
    if processes.first and not (known and known.finished):
        work.sweep((*stage.outputs, "losses"))
    processes.wait()  # until all know whether there is something to do
    if known and known.finished:
        progress.say(f"{stage.name}: done before")
        return
    if not processes.first:
        if stage.shared:
            stage.run(context)
        processes.wait()
        return
    progress.note(f"{stage.name}: started")
    before = known or StageRecord(plan.fingerprints[stage.name], settings=facts.settings, versions=_versions())
    work.record(stage.name, before)
    start, finished = time.monotonic(), False
    try:
        stage.run(context)
        processes.wait()
        finished = True
    finally:
        give_back_freed_memory()
        seconds = round(before.seconds + time.monotonic() - start, 2)
        memory = max(peak_memory(), before.peak_memory_mb or 0)
        work.record(stage.name, replace(before, finished=finished, seconds=seconds, peak_memory_mb=memory))
        progress.say(f"{stage.name}: {'done' if finished else 'stopped'} after {seconds:.1f} s")
