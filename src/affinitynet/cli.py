"""The command ``affinitynet``: arguments -> config -> pipeline, nothing else."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentError, ArgumentParser, Namespace
from rich.console import Console

from affinitynet import __version__
from affinitynet.config import PipelineConfig, one_line, read_config, stored_data, to_dict
from affinitynet.data.store import WorkFolder
from affinitynet.presets import DEMO, PRESETS, preset
from affinitynet.progress import Reporter
from affinitynet.summary import quality_table, time_table, tuning_table, tuning_verdict
from affinitynet.types import InputError

DESCRIPTION = """\
Tags in, masks out: from photographs and the names of what is in them to pixel-accurate masks.
Start with `affinitynet demo`, then `affinitynet run --data DIR --work DIR`.
"""

SECTIONS = ("classifier", "cams", "seeds", "affinity", "walk", "masks", "evaluate")


@dataclass(frozen=True)
class Command:
    """A subcommand: what it says of itself, the stages it runs and the settings it takes."""

    help: str
    stages: tuple[str, ...]
    sections: tuple[str, ...]


COMMANDS = {
    "run": Command(
        "run every stage that is not finished yet, from tags to masks and their evaluation",
        (
            "check-data",
            "train-classifier",
            "make-cams",
            "make-seeds",
            "train-affinity",
            "random-walk",
            "make-masks",
            "evaluate",
        ),
        SECTIONS,
    ),
    "train-classifier": Command(
        "learn from the tags which classes are in an image",
        ("check-data", "train-classifier"),
        ("classifier",),
    ),
    "make-cams": Command("see where the classifier saw each tagged class", ("make-cams",), ("cams",)),
    "make-seeds": Command(
        "sharpen the activation maps with a dense CRF into confident seeds", ("make-seeds",), ("seeds",)
    ),
    "train-affinity": Command(
        "learn from the seeds which neighbouring pixels belong together", ("train-affinity",), ("affinity",)
    ),
    "make-masks": Command(
        "spread the activation maps by random walk and decide the masks; with another --masks.alpha or "
        "--masks.threshold the kept walk is decided again in seconds",
        ("random-walk", "make-masks"),
        ("walk", "masks"),
    ),
    "evaluate": Command(
        "measure every step against ground-truth masks and draw the contact sheet",
        ("evaluate",),
        ("evaluate",),
    ),
}


TUNE_HELP = "choose alpha (and beta, t) by the ground-truth masks there are, ten are enough to begin with"
REPORT_HELP = "write report.html: how good each step is, and a gallery to find the bad masks in"
EXPORT_HELP = "write images and masks as the tool that uses them next reads them: VOC, COCO, YOLO, Hugging Face"
CONVERT_HELP = "write weights of any origin as safetensors and say what was matched"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 2 wrong input, 1 anything else."""
    console = Console(stderr=True)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(arguments, console)
    except InputError as error:
        print(f"affinitynet: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("affinitynet: stopped; run the same command again to continue", file=sys.stderr)
        return 1


def _main(arguments: list[str], console: Console) -> int:
    base, data = _starting_point(arguments)
    parser = _parser(base, data)
    if not arguments:
        parser.print_help()
        return 0
    try:
        parsed = parser.parse_args(arguments)
        name = parsed.subcommand
        values = parser.instantiate(parsed)[name]
    except (ArgumentError, ValueError) as error:
        raise InputError(_with_nearest(one_line(error), arguments)) from None
    special = {"demo": _demo, "tune": _tune, "report": _report, "export": _export, "convert-weights": _convert}
    if name in special:
        return special[name](values, console)
    names = {f.name for f in fields(PipelineConfig)}
    chosen = {key: value for key, value in vars(values).items() if key in names}
    config = replace(base, **{**chosen, "classes": _names(chosen["classes"])})
    return _run(name, values, config, console)


def _starting_point(arguments: list[str]) -> tuple[PipelineConfig, str | None]:
    """Return the config that flags change, and the data folder it was made for.

    The recipe of --preset or of --network's name, under the work folder's config.yaml, under --config.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--preset", "--network", "--work", "--config"):
        early.add_argument(flag)
    try:
        known, _ = early.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from None
    base, data = preset(known.preset or known.network or "lite"), None
    if known.preset is None and known.work and (stored := Path(known.work) / "config.yaml").exists():
        base, data = read_config(stored, base), stored_data(stored)
    if known.config:
        base = read_config(Path(known.config), base)
    return base, data


def _parser(base: PipelineConfig, data: str | None) -> ArgumentParser:
    """Return the parser whose defaults are ``base`` and ``data``."""
    parser = ArgumentParser(
        prog="affinitynet",
        description=DESCRIPTION,
        exit_on_error=False,
        version=f"affinitynet {__version__}",
    )
    subcommands = parser.add_subcommands(required=True, title="commands", metavar="COMMAND")
    subcommands.add_subcommand("demo", _demo_parser(), help="draw a small tagged world and run everything on it")
    for name, command in COMMANDS.items():
        subcommands.add_subcommand(name, _command_parser(name, command, base, data), help=command.help)
    subcommands.add_subcommand("tune", _tune_parser(), help=TUNE_HELP)
    subcommands.add_subcommand("report", _report_parser(), help=REPORT_HELP)
    subcommands.add_subcommand("export", _export_parser(), help=EXPORT_HELP)
    subcommands.add_subcommand("convert-weights", _convert_parser(), help=CONVERT_HELP)
    return parser


def _demo_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.description = (
        "Draw a small tagged world, run the whole method on it and compare with the known masks: "
        "about 3 minutes on 2 cores."
    )
    parser.add_argument("--work", default="demo", help="Folder for the drawn images and the results.")
    _add_computing(parser, force=True)
    return parser


def _convert_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.description = (
        "Write weights of any origin as safetensors: checkpoints of the released code (.pth), Caffe's .caffemodel, "
        "MXNet's .params, torchvision's VGG-16. The origin is recognised by the content."
    )
    parser.add_argument("source", help="The file to read.")
    parser.add_argument("target", help="The .safetensors file to write; must not exist.")
    classes = "Names of a classifier's classes, separated by commas; null: the file's own, or class 1, class 2 ..."
    parser.add_argument("--classes", type=str | None, default=None, help=classes)
    return parser


def _tune_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, usage="affinitynet tune --work DIR [--SETTING VALUE ...]")
    parser.description = (
        f"{TUNE_HELP[0].upper()}{TUNE_HELP[1:]}. The choice is written to the work folder's config.yaml and the "
        "masks are made again with it."
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    on = "Split whose masks to measure on; null: the first that has any. Confirm on another one."
    parser.add_argument("--on", type=str | None, default=None, help=on)
    betas = "Exponents of the affinities to try too; each walks again, about 0.2 s an image."
    parser.add_argument("--betas", type=tuple[float, ...], default=(), help=betas)
    steps = "Lengths t of the walk to try too, with each beta."
    parser.add_argument("--steps", type=tuple[int, ...], default=(), help=steps)
    _add_computing(parser)
    return parser


def _report_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, usage="affinitynet report --work DIR [--data DIR] [--workers N]")
    parser.description = (
        "Write report.html into the work folder: one page that needs no network, with the table of the steps, losses, "
        "classes and a gallery, worst masks first."
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    workers = "Images in work at the same time; null: one per core."
    parser.add_argument("--workers", type=int | None, default=None, help=workers)
    return parser


def _export_parser() -> ArgumentParser:
    usage = "affinitynet export --work DIR --format FORMAT --out DIR [--data DIR]"
    parser = ArgumentParser(exit_on_error=False, usage=usage)
    parser.description = f"{EXPORT_HELP[0].upper()}{EXPORT_HELP[1:]}. CVAT and Label Studio import the COCO form."
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    forms = "voc: palette PNGs; coco: run-length encoded; yolo: polygons; huggingface: imagefolder of `datasets`."
    parser.add_argument("--format", type=Literal["voc", "coco", "yolo", "huggingface"], required=True, help=forms)
    parser.add_argument("--out", type=str, required=True, help="A new folder to write to.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    return parser


def _command_parser(name: str, command: Command, base: PipelineConfig, data: str | None) -> ArgumentParser:
    needs_data = "check-data" in command.stages
    usage = f"affinitynet {name} {'--data DIR ' if needs_data else ''}--work DIR [--SETTING VALUE ...]"
    parser = ArgumentParser(exit_on_error=False, usage=usage)
    parser.description = f"{command.help[0].upper()}{command.help[1:]}."
    parser.add_argument(
        "--data",
        type=str | None,
        default=data,
        help="VOC devkit folder, or folder of images with tags.csv or tags.json; null: the one --work was made from.",
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder: everything made goes here.")
    parser.add_argument(
        "--preset",
        type=str | None,
        default=None,
        help=f"Recipe the settings start from: {', '.join(PRESETS)}; null: the network's own.",
    )
    parser.add_argument("--config", type=str | None, default=None, help="YAML file of settings; flags win over it.")
    _add_computing(parser, force=True)
    classes = "Classes to learn, separated by commas, in the order of their mask values; null: all."
    parser.add_argument("--classes", type=str | None, help=classes)
    other = {section for section in SECTIONS if section not in command.sections}
    parser.add_class_arguments(PipelineConfig, None, skip={"classes", *other})
    defaults = {key: value for key, value in to_dict(base).items() if key not in other}
    parser.set_defaults({**defaults, "classes": ",".join(base.classes) if base.classes else None})
    return parser


def _add_computing(parser: ArgumentParser, force: bool = False) -> None:
    """Add the flags that do not change the result."""
    device = "Where to compute; auto: a GPU if there is one."
    parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help=device)
    workers = "Images in work at the same time; null: one per core."
    parser.add_argument("--workers", type=int | None, default=None, help=workers)
    if force:
        again = "Make again what the work folder holds under other settings."
        parser.add_argument("--force", action="store_true", help=again)


def _with_nearest(message: str, arguments: Sequence[str]) -> str:
    """Add the flag that was probably meant to an argument parser's complaint about an unknown one."""
    unknown = re.search(r"(?:unrecognized arguments: --|option ')([\w.-]+)", message)
    if unknown is None:
        return message
    flags = [*_flags(to_dict(PipelineConfig())), "data", "work", "config", "device", "workers", "force"]
    nearest = difflib.get_close_matches(unknown[1], flags, n=1, cutoff=0.0)[0]
    return f"--{unknown[1]}: {arguments[0]} has no such flag; did you mean --{nearest}?"


def _flags(values: dict, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings."""
    return [
        name
        for key, value in values.items()
        for name in (_flags(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"])
    ]


def _run(name: str, values: Namespace, config: PipelineConfig, console: Console) -> int:
    from affinitynet.pipeline import run_pipeline

    if values.data is None:
        raise InputError("--data: missing; name the folder that holds your images and their tags")
    command, work = COMMANDS[name], Path(values.work)
    metrics = run_pipeline(
        values.data,
        work,
        config,
        stages=command.stages,
        device=values.device,
        workers=values.workers,
        force=values.force,
        report=Reporter(work / "log.txt", console),
    )
    if "evaluate" in command.stages:
        _show_results(work, metrics)
    return 0


def _convert(values: Namespace, console: Console) -> int:
    from affinitynet.convert import convert_weights

    lines = convert_weights(Path(values.source), Path(values.target), _names(values.classes))
    print("\n".join(lines))
    return 0


def _tune(values: Namespace, console: Console) -> int:
    from affinitynet.pipeline import tune_masks

    tuning = tune_masks(
        values.work,
        data=values.data,
        split=values.on,
        betas=values.betas,
        steps=values.steps,
        device=values.device,
        workers=values.workers,
        report=Reporter(Path(values.work) / "log.txt", console),
    )
    Console().print(tuning_table(tuning))
    print(tuning_verdict(tuning))
    return 0


def _report(values: Namespace, console: Console) -> int:
    import torch

    from affinitynet.report.report import write_report

    data = None if values.data is None else Path(values.data)
    workers = values.workers or torch.get_num_threads()
    path = write_report(Path(values.work), data, workers, Reporter(console=console))
    print(f"report: {path} ({path.stat().st_size / 2**20:.1f} MB)")
    return 0


def _export(values: Namespace, console: Console) -> int:
    from affinitynet.exports.export import export_masks

    data = None if values.data is None else Path(values.data)
    count = export_masks(Path(values.work), Path(values.out), values.format, data, Reporter(console=console))
    print(f"{count} images: {values.out}")
    return 0


def _names(text: str | None) -> tuple[str, ...] | None:
    """Split the value of --classes."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _demo(values: Namespace, console: Console) -> int:
    from affinitynet.data.demo import draw_world

    folder = Path(values.work)
    data = folder / "data"
    if not (data / "tags.csv").exists():
        console.print(f"drawing a tagged world into {data} ...")
        draw_world(data)
    arguments = Namespace(
        data=data, work=folder / "work", device=values.device, workers=values.workers, force=values.force
    )
    return _run("run", arguments, DEMO, console)


def _show_results(work: Path, metrics: dict) -> None:
    """Print the tables and where to look."""
    out = Console()
    if metrics:
        out.print(quality_table(metrics))
    else:
        out.print("no ground-truth masks, so nothing to measure: look at the contact sheet")
    out.print(time_table(WorkFolder(work).records()))
    out.print(f"masks:         {work / 'masks'}", highlight=False, soft_wrap=True)
    out.print(f"contact sheet: {work / 'contact_sheet.png'}", highlight=False, soft_wrap=True)
