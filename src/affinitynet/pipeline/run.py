"""The ordered stages: what each needs, which settings decide it, and when it may be skipped.

A stage's fingerprint covers its settings, its images and tags, and the fingerprints of the stages
it builds on. A stage that finished under its present fingerprint is skipped, one that was
interrupted is continued, and one made under another is never overwritten unless that is asked for.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
import yaml

from affinitynet import __version__
from affinitynet.config.config_file import differences, read_yaml, to_dict
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import Collection, open_collection
from affinitynet.errors import InputError
from affinitynet.files import read_json, write_text
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.stages.check_data import check_data
from affinitynet.pipeline.stages.train_segmenter import check_segmenter, train_segmenter
from affinitynet.pipeline.table import STAGES, Stage
from affinitynet.records import TaggedImage
from affinitynet.runtime.memory import give_back_freed_memory, peak_memory
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import DeviceName, Runtime
from affinitynet.work.folder import WorkFolder


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
        force: make stages again that the work folder holds under other settings.
        progress: where bars and messages go; by default only to the work folder's ``log.txt``.

    Returns:
        The content of ``metrics.json``, empty before ``evaluate`` ran.

    Raises:
        InputError: the input is wrong; the message says what, where and how to mend it.
    """
    runtime = Runtime.start(device, workers, progress or Progress(Path(work) / "log.txt"))
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
    chosen = [stage for stage in STAGES if stages is None or stage.name in stages]
    if any(stage.run is train_segmenter for stage in chosen):
        check_segmenter(context.config, context.collection.classes)
    fingerprints, changed = _plan(context, chosen, force)
    with folder.locked() if context.runtime.processes.first else nullcontext():
        _begin(context, Path(data), changed)
        for stage in chosen:
            _run_stage(context, stage, fingerprints)
            if stage.run is check_data:
                context = replace(context, collection=context.unchecked.without(folder.left_out()))
                fingerprints, changed = _plan(context, chosen, force)
                _begin(context, Path(data), changed)
    return read_json(folder.metrics_file) if folder.metrics_file.exists() else {}


def open_context(data: Path, folder: WorkFolder, config: PipelineConfig, runtime: Runtime) -> Context:
    """Open a collection with the settings and the work folder it is to be run with.

    Raises:
        InputError: the collection is not as it should be, or has no such split.
    """
    collection = open_collection(data, config.classes, config.on_error)
    split = config.split or collection.default_split
    collection.split(split)
    return Context(
        collection=collection.without(folder.left_out()),
        unchecked=collection,
        work=folder,
        config=replace(config, split=split, classes=collection.classes),
        split=split,
        runtime=runtime,
    )


def _plan(context: Context, chosen: Sequence[Stage], force: bool) -> tuple[dict[str, str], list[Stage]]:
    """Return the stages' fingerprints, and those stages that have to be forgotten and made again."""
    fingerprints = _fingerprints(context, {stage.name for stage in chosen})
    return fingerprints, _changed_stages(context, fingerprints, chosen, force)


def _begin(context: Context, data: Path, changed: Sequence[Stage]) -> None:
    """Note the settings, and forget what was made under others."""
    context.runtime.processes.wait()  # all have read the records that the first one is about to change
    if context.runtime.processes.first:
        for stage in changed:
            context.work.forget(stage.name, stage.outputs)
        _write_config(context, data)
    context.runtime.processes.wait()


def _fingerprints(context: Context, planned: set[str]) -> dict[str, str]:
    """Return stage name -> digest of everything that decides its result, once the ``planned`` stages have run."""
    records = context.work.records()
    settings = to_dict(context.config)
    training, labelled = _facts(context.training_images), _facts(context.labelled_images)
    images: dict[str, Any] = {"train-classifier": training, "train-affinity": training, "train-segmenter": training}
    images["check-data"] = _facts(context.unchecked.labelled(context.split))
    measured = {"check-data": _truth(context.unchecked), "evaluate": _truth(context.collection)}
    fingerprints: dict[str, str] = {}

    def will_be_there(name: str) -> bool:
        record = records.get(name, {})
        return name in planned or (record.get("finished", False) and record["fingerprint"] == fingerprints[name])

    for stage in STAGES:
        facts = {
            "settings": {key: settings[key] for key in stage.settings},
            "images": images.get(stage.name, labelled),
            "needs": [fingerprints[name] for name in (*stage.needs, *filter(will_be_there, stage.sees))],
            "measured": measured.get(stage.name, ()),
        }
        fingerprints[stage.name] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return fingerprints


def _facts(records: Iterable[TaggedImage]) -> list:
    return [(record.name, record.tags, record.path.stat().st_size) for record in records]


def _truth(collection: Collection) -> list:
    splits = collection.evaluation_splits
    return [(s, r.name, r.mask.stat().st_size) for s in splits for r in collection.split(s) if r.mask is not None]


def _changed_stages(
    context: Context, fingerprints: dict[str, str], chosen: Sequence[Stage], force: bool
) -> list[Stage]:
    """Check that the folder's stages fit the settings; return those to be forgotten and made again.

    A dear stage that is neither chosen nor needed now stays as it is, with the fingerprint it was
    made under: other masks leave the segmentation network alone until it is to be trained again.

    Raises:
        InputError: a dear stage was made under other settings, or a stage that is needed is not
            finished.
    """
    records = context.work.records()
    concerned = _with_needs(chosen)
    changed = [
        stage
        for stage in STAGES
        if stage.name in records
        and records[stage.name]["fingerprint"] != fingerprints[stage.name]
        and (stage.cheap or stage.name in concerned)
    ]
    if not force and not all(stage.cheap for stage in changed):
        raise InputError(
            f"--work {context.work.root}: was made with another configuration ({_what_changed(context)}); "
            f"name a new --work, or add --force to make again: {', '.join(stage.name for stage in changed)}"
        )
    finished = {name for name, record in records.items() if record["finished"]} - {s.name for s in changed}
    available = finished | {stage.name for stage in chosen}
    for stage in chosen:
        if missing := set(stage.needs) - available:
            raise InputError(
                f"{stage.name} needs {min(missing)}, which has not finished in --work {context.work.root}; "
                "run `affinitynet run` instead, or the missing stage first"
            )
    return changed


def _with_needs(chosen: Sequence[Stage]) -> set[str]:
    """Return the names of stages and of all that they build on."""
    names = {stage.name for stage in chosen}
    for stage in reversed(STAGES):
        if stage.name in names:
            names.update(stage.needs)
    return names


def _what_changed(context: Context) -> str:
    """Name the settings that differ from those the work folder was made with."""
    stored = read_yaml(context.work.config_file)
    now = to_dict(context.config)
    settings = differences({key: stored.get(key) for key in now}, now)
    return "; ".join(settings) or "its images or tags have changed since"


def _write_config(context: Context, data: Path) -> None:
    versions = {
        "affinitynet": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "timm": str(timm.__version__),
    }
    content = {"data": str(data.resolve()), **to_dict(context.config), "versions": versions}
    write_text(context.work.config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _run_stage(context: Context, stage: Stage, fingerprints: dict[str, str]) -> None:
    """Run a stage unless it is finished; keep its time even if it is interrupted."""
    known = context.work.records().get(stage.name, {})
    if context.runtime.processes.first and not known.get("finished"):
        context.work.sweep((*stage.outputs, "losses"))
    context.runtime.processes.wait()  # until all know whether there is something to do
    if known.get("finished"):
        context.runtime.progress.say(f"{stage.name}: done before")
        return
    if not context.runtime.processes.first:
        if stage.shared:
            stage.run(context)
        context.runtime.processes.wait()
        return
    context.runtime.progress.note(f"{stage.name}: started")
    context.work.record(stage.name, fingerprint=fingerprints[stage.name], finished=False)
    start, finished = time.monotonic(), False
    try:
        stage.run(context)
        context.runtime.processes.wait()
        finished = True
    finally:
        give_back_freed_memory()
        seconds = round(known.get("seconds", 0.0) + time.monotonic() - start, 2)
        memory = max(peak_memory(), known.get("peak_memory_mb", 0))
        context.work.record(stage.name, finished=finished, seconds=seconds, peak_memory_mb=memory)
        context.runtime.progress.say(f"{stage.name}: {'done' if finished else 'stopped'} after {seconds:.1f} s")
