"""The command ``affinitynet``: arguments -> a row of the commands -> its function -> what it shows."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from jsonargparse import Namespace

from affinitynet import __version__
from affinitynet.cli.commands import COMMANDS, Command
from affinitynet.cli.console import CONTINUE, advice, discard, shown, write_anything
from affinitynet.cli.flags import (
    FlagParser,
    add_parameters,
    add_settings,
    ask_for,
    parse,
    setting_sections,
    underscored,
)
from affinitynet.cli.storage import local_copies
from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError, did_you_mean, one_line, system_error
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.progress import Progress, UnreadConsole
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder

DESCRIPTION = """\
Tags in, masks out: from photographs and the names of what is in them to pixel-accurate masks.
Start with `affinitynet demo`, then `affinitynet run --data DIR --work DIR`."""
MADE = {"changes", "stages", "runtime"}
"""Parameters that no flag gives: they are made of several, or of the command's row."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 2 wrong input, 3 done but something was skipped, 1 anything else.
    """
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    keep_freed_memory()
    write_anything()
    command = COMMANDS.get(arguments[0]) if arguments else None
    resumes = command is not None and command.resumes
    continues = f"; {CONTINUE}" if resumes else ""
    try:
        return _main(arguments)
    except InputError as error:
        return _stopped(one_line(error), 2)
    except OSError as error:  # a full disk, a folder that may not be written, storage that went away
        return _stopped(f"{system_error(error)}{advice(error, resumes)}", 1)
    except MemoryError as error:
        fewer = "; try --workers 1" if command is not None and "workers" in command.computing else ""
        return _stopped(f"not enough memory ({one_line(error)}){fewer}{continues}", 1)
    except KeyboardInterrupt:
        return _stopped(f"stopped{continues}", 1)


def _stopped(why: str, code: int) -> int:
    """Say in a line why a command stopped, if anybody reads it, and return the exit code."""
    try:
        print(f"affinitynet: {why}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)
    return code


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        return shown(partial(_print, _overview()))
    name = arguments[0]
    if name == "--version":
        return shown(partial(_print, f"affinitynet {__version__}"))
    if name not in COMMANDS:
        raise InputError(f"{name}: no such command {did_you_mean(name, COMMANDS)}; `affinitynet --help` lists them")
    command = COMMANDS[name]
    function = command.load()
    given = parse(_parser(command, function), arguments[1:], _elsewhere(command))
    with local_copies(arguments) as copied:
        if copied != arguments:
            given = parse(_parser(command, function), copied[1:], _elsewhere(command))
        if command.alone and int(os.environ.get("RANK", "0")) > 0:
            return 0  # one process does it
        return _run(command, function, given)


def _print(text: str) -> int:
    print(text)
    return 0


def _overview() -> str:
    """Return the help that lists the commands."""
    formatter = argparse.RawDescriptionHelpFormatter("affinitynet", max_help_position=22)
    formatter.add_usage("affinitynet COMMAND [--FLAG VALUE ...]", [], [])
    formatter.add_text(DESCRIPTION)
    formatter.start_section("commands")
    formatter.add_arguments([argparse.Action([], name, metavar=name, help=row.help) for name, row in COMMANDS.items()])
    formatter.end_section()
    formatter.add_text(
        "`affinitynet COMMAND --help` lists the flags of a command, `affinitynet --version` the version."
    )
    return formatter.format_help().rstrip()


def _parser(command: Command, function: Callable) -> FlagParser:
    """Return the parser of a command, made from the signatures of what it calls."""
    parser = FlagParser(f"affinitynet {command.name}")
    required = add_parameters(parser, function, MADE, command.positional)
    add_parameters(parser, Runtime, {"device", "workers", "progress", "alone"} - set(command.computing))
    add_parameters(parser, command.show, [*inspect.signature(command.show).parameters][:2])
    if command.stages:
        add_settings(parser, {name for stage in command.stages for name in stage.taken})
        parser.description = f"{command.help[0].upper()}{command.help[1:]}."
        required = required if command.stages[0].needs else ["data", *required]
    else:
        parser.description = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    words = [name.upper() for name in command.positional] + [f"--{name} {name.upper()}" for name in required]
    parser.usage = f"{parser.prog} {' '.join([*words, '[--FLAG VALUE ...]'])}"
    return parser


def _elsewhere(command: Command) -> dict[str, str]:
    """Return the settings that this command does not take, and which commands do."""
    takers: dict[str, list[str]] = {}
    for other in COMMANDS.values():
        for section in dict.fromkeys(name for stage in other.stages for name in stage.taken):
            takers.setdefault(section, []).append(other.name)
    return {
        f"{section}.{field.name}": " and ".join(takers[section])
        for section in setting_sections()
        if command.name not in takers[section]
        for field in fields(getattr(PipelineConfig(), section))
    }


def _run(command: Command, function: Callable, given: Namespace) -> int:
    """Call a command's function with what was given, and show what it returns."""
    values, taken = given.as_dict(), set(inspect.signature(function).parameters)
    showing = {name: values.pop(name) for name in [*inspect.signature(command.show).parameters][2:] if name in values}
    computing = {name: values.pop(name) for name in ("device", "workers") if name in values}
    arguments: dict[str, Any] = {name: values.pop(name) for name in taken & set(values)}
    ask_for(function, arguments, MADE)
    if "stages" in taken:
        arguments |= {"stages": command.stages, "changes": values}
    if "runtime" in taken:
        log = WorkFolder(arguments["work"]).log_file if "work" in arguments else None
        progress = Progress(log, UnreadConsole(stderr=True))
        arguments["runtime"] = Runtime(**computing, progress=progress, alone=command.alone)
    bound = inspect.signature(function).bind(**arguments)
    bound.apply_defaults()
    result = function(**arguments)
    return shown(lambda: command.show(result, Namespace(**bound.arguments), **showing))
