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

from affinitynet.config.config_file import stored_plan, stored_versions, to_dict
from affinitynet.config.settings import RANDOM, PipelineConfig
from affinitynet.config.trainings import ClassifierConfig, TrainConfig
from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.corrections import corrected
from affinitynet.data.drawn_masks import teaching
from affinitynet.data.facts import read_facts
from affinitynet.data.summary import HEIGHT, WIDTH, Summary, summarise
from affinitynet.errors import InputError, did_you_mean
from affinitynet.files import read_json, write_text
from affinitynet.pipeline.facts import gather_facts
from affinitynet.pipeline.missing import incomplete
from affinitynet.pipeline.plan import Facts, Plan, make_plan
from affinitynet.pipeline.table import STAGES, Stage, of_other_propagation, stages_of, why_left_out
from affinitynet.runtime.memory import give_back_freed_memory, peak_memory
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import DeviceName, Runtime
from affinitynet.work.contents import Contents
from affinitynet.work.folder import StageRecord, WorkFolder

if TYPE_CHECKING:
    from affinitynet.pipeline.context import Context

LEAST_SHARE = 4
"""Images of a batch for each process: the fewest that a network with BatchNorm was measured with."""

NOTED_VERSIONS = ("affinitynet", "torch", "timm")
STYLES = {"title": "bold", "fact": "", "warning": "yellow", "serious": "bold red"}
"""How the lines of a summary look on a terminal."""


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
    tags: Path | str | None = None,
) -> dict[str, Any]:
    """Turn a tagged collection into masks; skip what is finished and unchanged.

    Args:
        data: a VOC devkit folder, or a folder of images with a table of tags (``tags.csv``, ``tags.xlsx`` ...).
        work: where artifacts go (see ``docs/work-folder.md``).
        config: settings; the default is the measured recipe of ``lite``.
        stages: names of those to run; all by default.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        workers: images in parallel; by default one a core.
        force: recompute stages that the work folder holds under other settings.
        progress: where bars and messages go; by default only to the work folder's ``log.txt``.
        tags: a table of tags anywhere (CSV, ``.xlsx``, JSON); by default that in ``data``.

    Returns:
        The content of ``metrics.json``, empty before ``evaluate`` ran.

    Raises:
        InputError: the input is wrong; the message says what, where and how to fix it.
    """
    runtime = Runtime(device, workers, progress or Progress(WorkFolder(Path(work)).log_file))
    return run_stages(data, work, config or PipelineConfig(), stages, runtime, force, tags)


def run_stages(
    data: Path | str,
    work: Path | str,
    config: PipelineConfig,
    stages: Sequence[str] | None,
    runtime: Runtime,
    force: bool = False,
    tags: Path | str | None = None,
) -> dict[str, Any]:
    """Do as :func:`run_pipeline`, on a runtime that has been started."""
    folder = WorkFolder(Path(work))
    folder.check_is_ours()
    context = open_context(Path(data), folder, config, runtime, tags)
    sources = {"data": str(Path(data).resolve())} | ({} if tags is None else {"tags": str(Path(tags).resolve())})
    chosen = chosen_stages(context.config, stages)
    if any(stage.name == "train-segmenter" for stage in chosen):
        _check_segmenter(context)
    contents = Contents(folder.contents_file)
    if chosen[0].name != "check-data":
        check_maps(context, chosen)
    facts, plan = _plan(context, contents, chosen, force)
    remarks = check_batches(context, chosen, plan)
    with folder.locked(runtime.progress.say) if runtime.processes.first else nullcontext():
        _begin(context, sources, contents, plan)
        for remark in remarks if runtime.processes.first else ():
            runtime.progress.say(remark)
        for stage in chosen:
            ran = _run_stage(context, stage, plan, facts[stage.name], by_name=not _all(stages))
            if stage.name == "check-data":
                if ran and runtime.processes.first:
                    _say_summary(context, show=len(chosen) > 1)
                context = replace(context, collection=_checked(context.unchecked, folder))
                check_maps(context, chosen)
                facts, plan = _plan(context, contents, chosen, force)
                _begin(context, sources, contents, plan)
    return read_json(folder.metrics_file) if folder.metrics_file.exists() else {}


def open_context(
    data: Path, folder: WorkFolder, config: PipelineConfig, runtime: Runtime, tags: Path | str | None = None
) -> Context:
    """Open a collection with the settings and the work folder it is to be run with.

    Raises:
        InputError: the collection is not as it should be, or has no such split.
    """
    collection = open_collection(data, config.classes, config.on_error, tags, config.split)
    split = config.split or collection.default_split
    collection = teaching(corrected(collection, folder.corrections), split, config)

    from affinitynet.pipeline.context import Context

    settled = replace(_absolute(config), split=split, classes=collection.classes)
    return Context(
        collection=_checked(collection, folder),
        unchecked=collection,
        work=folder,
        config=settled,
        split=split,
        runtime=runtime,
        given=settled,
    )


def _checked(collection: Collection, folder: WorkFolder) -> Collection:
    """Return a collection as check-data found it: without what cannot be used, and with the range of its values."""
    return collection.without(folder.left_out()).with_values(folder.values())


def _absolute(config: PipelineConfig) -> PipelineConfig:
    """Return the settings with files and folders that a later command finds from wherever it is started."""

    def found(path: str | None) -> str | None:
        return path if path is None or path == RANDOM else str(Path(path).resolve())

    return replace(
        config,
        weights=found(config.weights),
        cams=replace(config.cams, from_folder=found(config.cams.from_folder)),
        classifier=replace(config.classifier, trained=found(config.classifier.trained)),
        affinity=replace(config.affinity, trained=found(config.affinity.trained)),
        irnet=replace(config.irnet, trained=found(config.irnet.trained)),
        segmenter=replace(config.segmenter, trained=found(config.segmenter.trained)),
    )


def chosen_stages(config: PipelineConfig, names: Sequence[str] | None) -> list[Stage]:
    """Return the stages to run; of all, those that there is something to do for."""
    known = {stage.name: stage for stage in stages_of(config)}
    for name in names or ():
        if name not in known:
            raise InputError(f"stage {name!r}: unknown; known: {', '.join(known)} {did_you_mean(name, known)}")
    if not _all(names):
        return [stage for stage in known.values() if stage.name in (names or ())]
    chosen = [stage for stage in known.values() if stage.name not in of_other_propagation(config)]
    if not any("train-classifier" in stage.needs for stage in chosen):
        chosen = [stage for stage in chosen if stage.name != "train-classifier"]  # nothing would read it
    return chosen


def _all(names: Sequence[str] | None) -> bool:
    return names is None or {stage.name for stage in STAGES} <= set(names)


def _check_segmenter(context: Context) -> None:
    """Raise if the segmentation network cannot be built, before hours are spent on its masks."""
    from affinitynet.pipeline.stages.train_segmenter import check_segmenter

    check_segmenter(context.config, context.collection.classes)


def check_batches(context: Context, chosen: Sequence[Stage], plan: Plan) -> list[str]:
    """See whether the batches are large enough for all processes, before hours are spent on what comes first.

    Returns:
        What is to be said of those that could be larger.

    Raises:
        InputError: a network is to be trained with fewer images in a batch than there are processes.
    """
    count, config = context.runtime.processes.count, context.adapted.config
    if count == 1:
        return []
    remarks = []
    for stage in chosen:
        if plan.actions[stage.name] == "skip" or why_left_out(stage.name, config):
            continue
        group = stage.name.removeprefix("train-")
        training = getattr(config, group, None)
        if not isinstance(training, TrainConfig) or not _in_batches(training):
            continue
        flag, size = f"--{group}.batch-size", training.batch_size
        if size < count:
            raise InputError(
                f"{flag} {size}: fewer images than the {count} processes that share them; start fewer, or give "
                f"{flag} {LEAST_SHARE * count}"
            )
        if group == "segmenter" and size < LEAST_SHARE * count:
            remarks.append(
                f"{stage.name}: {count} processes share the {size} images of a step, which makes the network worse; "
                f"{flag} {LEAST_SHARE * count} gives {LEAST_SHARE} to each"
            )
    return remarks


def _in_batches(training: TrainConfig) -> bool:
    """Return whether there is a training, and one in batches: the local classifier is trained by one process."""
    if isinstance(training, ClassifierConfig) and training.maps == "local":
        return False
    return getattr(training, "trained", None) is None


def check_maps(context: Context, chosen: Sequence[Stage]) -> None:
    """Raise if activation maps of another method are to be taken and are missing."""
    source = context.config.cams.from_folder
    if source is not None and any(stage.name == "make-cams" for stage in chosen):
        from affinitynet.data import activation_maps

        activation_maps.check_maps(Path(source), context.target_images)


def _plan(context: Context, contents: Contents, chosen: Sequence[Stage], force: bool) -> tuple[dict[str, Facts], Plan]:
    facts = gather_facts(context, contents)
    return facts, make_plan(stages_of(context.config), chosen, facts, context.work.records(), context.work.root, force)


def _begin(context: Context, sources: dict[str, str], contents: Contents, todo: Plan) -> None:
    """Note the settings, and forget what was made under others."""
    processes, work = context.runtime.processes, context.work
    processes.wait()  # all have read the records that the first one is about to change
    if processes.first:
        for stage in todo.forget:
            work.forget(stage.name, stage.outputs)
        settings = context.adapted.config
        lost = [stage.name for stage in todo.forget if stage.name not in todo.actions]
        if dropped := [name for name in lost if why_left_out(name, settings) is None]:
            context.runtime.progress.say(
                f"{', '.join(dropped)}: dropped, since what went into it has changed; `affinitynet run --force` makes "
                "them anew"
            )
        began_with = stored_versions(work.config_file) if work.config_file.exists() else None
        plan = stored_plan(work.config_file) if work.config_file.exists() else []
        content = {**sources, **to_dict(context.config), "plan": plan, "versions": began_with or noted_versions()}
        write_text(work.config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        contents.save()
    processes.wait()


def noted_versions() -> dict[str, str]:
    """Return the versions that a stage's record notes: name -> version, of Python and of what computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in NOTED_VERSIONS}}


def _say_summary(context: Context, show: bool) -> None:
    """Note what was understood of the collection in the log and, before hours are spent on it, print it."""
    facts, progress = read_facts(context.work.collection_file), context.runtime.progress
    if facts is None:
        return
    summary = summarise(facts)
    for line in summary.lines():
        progress.note(line.text)
    if show:
        show_summary(summary, progress)


def show_summary(summary: Summary, progress: Progress) -> None:
    """Print what was understood of a collection so that it fits a screen."""
    terminal = progress.console.is_terminal
    for line in summary.lines(min(WIDTH, progress.console.width) if terminal else WIDTH, HEIGHT):
        progress.show(line.text, STYLES[line.kind])


def _run_stage(context: Context, stage: Stage, plan: Plan, facts: Facts, by_name: bool) -> bool:
    """Run a stage unless it is finished, and tell whether it had to; keep its time even if it is interrupted.

    A finished stage that is asked for by its name makes what is missing of its files: ``run`` does not, because maps
    and walks may be deleted once the masks are made.
    """
    context = context.adapted
    work, processes, progress = context.work, context.runtime.processes, context.runtime.progress
    known, left_out = work.records().get(stage.name), why_left_out(stage.name, context.config)
    done = known is not None and known.finished
    lacking = _lacking(context, stage) if done and by_name and not left_out else ""
    if processes.first and (lacking or not done):
        work.sweep((*stage.outputs, "losses"))
    processes.wait()  # until all know whether there is something to do
    if done and not lacking:
        progress.say(f"{stage.name}: done before")
        return False
    if lacking:
        progress.say(f"{stage.name}: {lacking} missing and recomputed")
    if not processes.first:
        if stage.shared and not left_out:
            stage.run(context)
        processes.wait()
        return True
    progress.note(f"{stage.name}: started")
    before = known or StageRecord(plan.fingerprints[stage.name], settings=facts.settings, versions=noted_versions())
    work.record(stage.name, before)
    start, finished = time.monotonic(), False
    try:
        if left_out:
            progress.say(f"{stage.name}: left out, since {left_out}")
        else:
            stage.run(context)
        processes.wait()
        finished = True
    finally:
        give_back_freed_memory()
        seconds = round(before.seconds + time.monotonic() - start, 2)
        memory = max(peak_memory(), before.peak_memory_mb or 0)
        work.record(stage.name, replace(before, finished=finished, seconds=seconds, peak_memory_mb=memory))
        progress.say(f"{stage.name}: {'done' if finished else 'stopped'} after {seconds:.1f} s")
    return True


def _lacking(context: Context, stage: Stage) -> str:
    """Say what a finished stage lacks: files of images, or the numbers; nothing if it has all."""
    if count := len(incomplete(context, stage)):
        return f"files of {count} images are"
    metrics = context.work.metrics_file
    return f"{metrics.name} is" if metrics.name in stage.outputs and not metrics.exists() else ""
