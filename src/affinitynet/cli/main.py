"""The command ``affinitynet``: arguments -> config -> pipeline, nothing else."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser, Namespace
from rich.console import Console

from affinitynet import __version__
from affinitynet.cli.commands import TOOLS, add_computing, names_of, tell_left_out
from affinitynet.cli.tables import class_table, quality_table, time_table
from affinitynet.config.config_file import read_config, stored_data, to_dict
from affinitynet.config.presets import DEMO, PRESETS, preset
from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError, one_line
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.progress import Progress
from affinitynet.work.folder import WorkFolder

DESCRIPTION = """\
Tags in, masks out: from photographs and the names of what is in them to pixel-accurate masks.
Start with `affinitynet demo`, then `affinitynet run --data DIR --work DIR`.
"""

CONTINUE = "what was finished is kept, the same command continues"

SECTIONS = ("classifier", "cams", "seeds", "affinity", "walk", "masks", "segmenter", "predict", "evaluate")


@dataclass(frozen=True)
class Command:
    """A subcommand: what it says of itself, the stages it runs and the settings it takes."""

    help: str
    stages: tuple[str, ...]
    sections: tuple[str, ...]


COMMANDS = {
    "run": Command(
        "run every stage that is not finished yet, from tags to masks, a segmentation network and their evaluation",
        (
            "check-data",
            "train-classifier",
            "make-cams",
            "make-seeds",
            "train-affinity",
            "random-walk",
            "make-masks",
            "train-segmenter",
            "segment",
            "evaluate",
        ),
        SECTIONS,
    ),
    "check-data": Command(
        "read every image, mask and row of the data set and list what cannot be used",
        ("check-data",),
        (),
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
    "train-segmenter": Command(
        "train a segmentation network on the masks, for images without tags",
        ("train-segmenter", "segment"),
        ("segmenter", "predict"),
    ),
    "evaluate": Command(
        "measure every step against ground-truth masks and draw the contact sheet",
        ("evaluate",),
        ("evaluate",),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 2 wrong input, 3 done but something was left out, 1 anything else.
    """
    console = Console(stderr=True)
    arguments = [_underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    keep_freed_memory()
    try:
        return _main(arguments, console)
    except InputError as error:
        print(f"affinitynet: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that may not be written, storage that went away
        where = f"{error.filename}: " if error.filename else ""
        print(f"affinitynet: {where}{error.strerror or one_line(error)}; {CONTINUE}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"affinitynet: not enough memory ({one_line(error)}); try --workers 1; {CONTINUE}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"affinitynet: stopped; {CONTINUE}", file=sys.stderr)
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
    if name == "demo":
        return _demo(values, console)
    if name in TOOLS:
        return TOOLS[name].run(values, console)
    names = {f.name for f in fields(PipelineConfig)}
    chosen = {key: value for key, value in vars(values).items() if key in names}
    config = replace(base, **{**chosen, "classes": names_of(chosen["classes"])})
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
    for name, tool in TOOLS.items():
        subcommands.add_subcommand(name, tool.parser(), help=tool.help)
    return parser


def _demo_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.description = (
        "Draw a small tagged world, run the whole method on it and compare with the known masks: "
        "about 3 minutes on 2 cores."
    )
    parser.add_argument("--work", default="demo", help="Folder for the drawn images and the results.")
    add_computing(parser, force=True)
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
    add_computing(parser, force=True)
    classes = "Classes to learn, separated by commas, in the order of their mask values; null: all."
    parser.add_argument("--classes", type=str | None, help=classes)
    other = {section for section in SECTIONS if section not in command.sections}
    parser.add_class_arguments(PipelineConfig, None, skip={"classes", *other})
    defaults = {key: value for key, value in to_dict(base).items() if key not in other}
    parser.set_defaults({**defaults, "classes": ",".join(base.classes) if base.classes else None})
    return parser


def _with_nearest(message: str, arguments: Sequence[str]) -> str:
    """Add the flag that was probably meant to an argument parser's complaint about an unknown one."""
    unknown = re.search(r"(?:unrecognized arguments: --|option ')([\w.-]+)", message)
    if unknown is None:
        return message
    flags = [*_flags(to_dict(PipelineConfig())), "data", "work", "config", "device", "workers", "force"]
    nearest = difflib.get_close_matches(unknown[1], flags, n=1, cutoff=0.0)[0]
    return f"--{unknown[1]}: {arguments[0]} has no such flag; did you mean --{nearest}?"


def _underscored(argument: str) -> str:
    """Let flags be written with hyphens: --on-error is --on_error."""
    flag, equals, value = argument.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else argument


def _flags(values: dict, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings."""
    return [
        name
        for key, value in values.items()
        for name in (_flags(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"])
    ]


def _run(name: str, values: Namespace, config: PipelineConfig, console: Console) -> int:
    from affinitynet.pipeline.run import run_pipeline

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
        progress=Progress(work / "log.txt", console),
    )
    if "evaluate" in command.stages:
        _show_results(work, metrics)
    if name == "evaluate":
        for split, steps in metrics.items():
            step, found = list(steps.items())[-1]
            Console().print(class_table(f"{step}, {split} ({found['images']} images)", found))
    folder = WorkFolder(work)
    return tell_left_out(folder.left_out(), folder.left_out_file) if "check-data" in command.stages else 0


def _demo(values: Namespace, console: Console) -> int:
    from affinitynet.data.drawn_world import draw_world

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
