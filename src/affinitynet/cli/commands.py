"""The commands, a row each: what one says of itself, the function that does it, and how its result is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.table import Table

from affinitynet.cli.tables import (
    audit_table,
    class_table,
    quality_table,
    time_table,
    tuning_tables,
    tuning_verdict,
)
from affinitynet.data.facts import read_facts
from affinitynet.data.summary import serious, summarise
from affinitynet.errors import LeftOut
from affinitynet.pipeline.run import show_summary
from affinitynet.pipeline.table import STAGES, Stage
from affinitynet.pipeline.table import commands as stage_commands
from affinitynet.runtime.progress import Progress, UnreadConsole
from affinitynet.work.folder import WorkFolder
from affinitynet.work.metrics import Metrics, StepMetrics, read_metrics, truth_remark

LEFT_OUT_SHOWN = 10
WIDE = 240
"""Columns where output does not go to a terminal: nothing is cut or wrapped there."""


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Args:
        name: that it is called by.
        help: what it does, a line.
        function: "module:name", below the package; its signature gives the flags.
        show: prints the result, from it and what was given; returns the exit code. Its keyword parameters are flags.
        stages: that it runs, where it runs the pipeline.
        positional: parameters that are given without a flag.
        computing: flags of how to compute that it has a use for.
        alone: for one process, whoever started it; otherwise the processes of a job share the work.
        resumes: whether the same command continues where an interrupted one stopped.
    """

    name: str
    help: str
    function: str
    show: Callable[..., int]
    stages: tuple[Stage, ...] = ()
    positional: tuple[str, ...] = ()
    computing: tuple[str, ...] = ("device", "workers")
    alone: bool = False
    resumes: bool = False

    def load(self) -> Callable:
        """Import the function."""
        module, name = self.function.split(":")
        return getattr(import_module(f"affinitynet.{module}"), name)


def show_table(table: Table) -> None:
    """Print a table: on a terminal as wide as that, elsewhere as wide as it needs."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    UnreadConsole(width=None if terminal else WIDE).print(table)


def show_left_out(left_out: Sequence[LeftOut], table: Path) -> int:
    """Report on stderr what was skipped, if anything, and return the exit code that says the same."""
    if not left_out:
        return 0
    for left in left_out[:LEFT_OUT_SHOWN]:
        print(f"affinitynet: skipped: {left.reason}", file=sys.stderr)
    more = f", {len(left_out) - LEFT_OUT_SHOWN} more in it" if len(left_out) > LEFT_OUT_SHOWN else ""
    print(f"affinitynet: {len(left_out)} skipped ({table}{more}); the rest is done", file=sys.stderr)
    return 3


def _show_stages(_: dict, values: Namespace) -> int:
    folder, ran = WorkFolder(values.work), {stage.name for stage in values.stages}
    metrics = read_metrics(folder.metrics_file)
    if "evaluate" in ran:
        _show_results(folder, metrics)
    if ran == {"check-data"}:
        _show_understood(folder)
    if ran == {"evaluate"}:
        for split, steps in metrics.items():
            step, found = list(steps.items())[-1]
            show_table(class_table(f"{step}, {split} ({found.images} images)", found))
    if "check-data" not in ran:
        return 0
    if len(ran) > 1:
        _warn_again(folder)
    return show_left_out(folder.left_out(), folder.left_out_file)


def _show_understood(folder: WorkFolder) -> None:
    """Print what was understood of the collection."""
    facts = read_facts(folder.collection_file)
    if facts is None:
        print(f"{folder.collection_file} is no longer there; name a new --work to have the collection described again")
    else:
        show_summary(summarise(facts), Progress(console=UnreadConsole()))


def _warn_again(folder: WorkFolder) -> None:
    """Say at the end of a run, too, what no training could learn."""
    facts = read_facts(folder.collection_file)
    for text in serious(facts) if facts is not None else ():
        print(f"affinitynet: warning: {text}", file=sys.stderr)


def _show_results(folder: WorkFolder, metrics: Metrics) -> None:
    """Print the tables and where to look."""
    if metrics:
        show_table(quality_table(metrics))
        _show_truth_remarks({split: next(iter(steps.values())) for split, steps in metrics.items()})
    else:
        print("no ground-truth masks, so nothing to measure: look at the contact sheet")
    show_table(time_table(folder.records()))
    print(f"masks:         {folder.root / 'masks'}")
    print(f"contact sheet: {folder.root / 'contact_sheet.png'}")


def _show_truth_remarks(measured: dict[str, StepMetrics]) -> None:
    """Say what the ground truth does not cover."""
    for split, found in measured.items():
        if remark := truth_remark(split, found):
            print(remark)


def _show_demo(_: dict, values: Namespace) -> int:
    folder = WorkFolder(values.work / "work")
    _show_results(folder, read_metrics(folder.metrics_file))
    return 0


def _show_predicted(predicted: Any, values: Namespace) -> int:
    rate = f" ({predicted.labelled / predicted.seconds:.1f} a second)" if predicted.labelled else ""
    print(f"{predicted.labelled} images labelled{rate}: {values.out / 'masks'}")
    for remark in predicted.remarks:
        print(remark.text)
    if predicted.passed_over:
        print(f"not looked at: {'; '.join(predicted.passed_over)}")
    return show_left_out(predicted.left_out, values.out / "left_out.csv")


def _show_tuning(tuning: Any, values: Namespace) -> int:
    for table in tuning_tables(tuning):
        show_table(table)
    print(tuning_verdict(tuning))
    return 0


def _show_audit(suspicions: Sequence[Any], values: Namespace, *, top: int = 20) -> int:
    """Print the strongest suspicions.

    Args:
        top: How many to print.
    """
    show_table(audit_table(suspicions[:top]))
    print(f"{len(suspicions)} suspicious tags: {values.work / 'audit.csv'}")
    return 0


def _show_measured(measured: dict[str, StepMetrics], values: Namespace) -> int:
    for split, found in measured.items():
        show_table(class_table(f"{split} ({found.images} images)", found))
    _show_truth_remarks(measured)
    if values.out is not None:
        print(f"numbers: {values.out / 'metrics.json'}, metrics.csv")
    return 0


def _show_report(path: Path, values: Namespace) -> int:
    print(f"report: {path} ({path.stat().st_size / 2**20:.1f} MB)")
    return 0


def _show_export(exported: Any, values: Namespace) -> int:
    for remark in exported.remarks:
        print(remark.text)
    print(f"{exported.images} images: {values.out}")
    return 0


def _show_reviewed(reviewed: Any, values: Namespace) -> int:
    print(f"{reviewed.images} images reviewed: {values.work / 'corrections'}")
    _say_how_to_learn(reviewed.images, reviewed.teaching, values.work)
    return 0


def _show_imported(imported: Any, values: Namespace) -> int:
    for remark in imported.remarks:
        print(remark.text)
    print(f"{imported.corrected} corrected masks, {imported.same} as they were: {values.work / 'corrections'}")
    _say_how_to_learn(imported.corrected, imported.teaching, values.work)
    return show_left_out(imported.left_out, imported.table)


def _say_how_to_learn(corrections: int, teaching: int, work: Path) -> None:
    """Say what makes use of corrections, if there are any, and of which no run does."""
    if corrections > teaching:
        print(f"{corrections - teaching} of them are of images that are not trained on: only exports carry them")
    if teaching:
        print(f"to learn from them: affinitynet run --work {work} --force")


def _show_model(exported: Any, values: Namespace) -> int:
    print(f"model: {values.out} ({exported.megabytes:.1f} MB, {len(exported.labels) - 1} classes)")
    if exported.without_crf:
        print("it leaves out the dense CRF, by which predict's masks follow the outlines more closely")
    if (found := exported.comparison) is not None:
        crf = " and the dense CRF" if exported.without_crf else ""
        differs = exported.without_crf or found.precision != "float32"
        as_set = f", {found.equal_as_set:.2%} with {found.precision}{crf}" if differs else ""
        print(
            f"{found.images} images: {found.equal:.2%} of the pixels as predict in float32{as_set}; "
            f"{found.seconds:.2f} s an image, predict {found.seconds_as_set:.2f} s"
        )
    return 0


def _show_lines(lines: Sequence[str], values: Namespace) -> int:
    print("\n".join(lines))
    return 0


ALL_STAGES = "run every stage that is not finished yet, from tags to masks, a segmentation network and their evaluation"


def _stage_rows() -> list[Command]:
    """Return the commands that the table of stages names."""
    helps = {stage.name: stage.help for stage in STAGES} | {"run": ALL_STAGES}
    return [
        Command(name, helps[name], "cli.stages:run_from_flags", _show_stages, stages, resumes=True)
        for name, stages in stage_commands().items()
    ]


_TOOLS = [
    Command(
        "predict",
        "label images without tags, by the segmentation network",
        "tools.predict:predict_images",
        _show_predicted,
        positional=("sources",),
        resumes=True,
    ),
    Command(
        "label",
        "label a share of the images with the networks that are trained, for job arrays: --shard 3/64",
        "tools.label:label_shard",
        _show_lines,
        resumes=True,
    ),
    Command(
        "tune",
        "choose alpha (and beta, t) by the ground-truth masks there are; ten are enough to begin with",
        "tools.tune.tune:tune_masks",
        _show_tuning,
    ),
    Command(
        "audit-tags",
        "list the tags that the classifier contradicts, most suspicious first",
        "tools.audit_tags:audit_tags",
        _show_audit,
    ),
    Command(
        "evaluate-masks",
        "measure any folder of masks against a collection's ground truth",
        "tools.evaluate_masks:measure_masks",
        _show_measured,
        computing=("workers",),
        alone=True,
    ),
    Command(
        "report",
        "write report.html: how good each step is, and a gallery to find the bad masks in",
        "tools.report.report:write_report",
        _show_report,
        computing=("workers",),
        alone=True,
    ),
    Command(
        "review",
        "look at masks in a browser, accept them, and correct them by clicks",
        "tools.review.review:review_masks",
        _show_reviewed,
        computing=("device",),
        alone=True,
    ),
    Command(
        "export",
        "write images and masks in the form that the tool that uses them next reads",
        "tools.export.export:export_masks",
        _show_export,
        computing=(),
        alone=True,
    ),
    Command(
        "import-masks",
        "take masks that were corrected in another tool as corrections, which the next run learns from",
        "tools.import_masks:import_masks",
        _show_imported,
        positional=("masks",),
        computing=("workers",),
        alone=True,
    ),
    Command(
        "export-model",
        "write the segmentation network as one file that runs without affinitynet and torch: ONNX",
        "tools.export_model.export_model:export_model",
        _show_model,
        computing=(),
        alone=True,
    ),
    Command(
        "convert-weights",
        "write weights of any origin as safetensors and say what was matched",
        "tools.convert_weights:convert_weights",
        _show_lines,
        positional=("source", "target"),
        computing=(),
        alone=True,
    ),
]

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "demo",
            "draw a small tagged world and run everything on it",
            "tools.demo:run_demo",
            _show_demo,
            resumes=True,
        ),
        *_stage_rows(),
        *_TOOLS,
    )
}
"""Name -> command, in the order of ``--help``."""
