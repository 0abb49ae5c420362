"""A function's signature and docstring -> its flags. Parsing is jsonargparse's."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, Namespace, set_parsing_settings

from affinitynet.config.settings import PipelineConfig
from affinitynet.config.wrong_values import in_plain_words
from affinitynet.errors import InputError, nearest, one_line

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Config = TypeVar("Config")

CLASSES_HELP = "Classes to learn, separated by commas, in the order of their mask values; null: all."
SHORT = {"-o": "--out", "--cams.from": "--cams.from_folder"}
"""Other spellings of flags; ``from`` cannot be the name of a setting in Python."""
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w.]*")


class _HelpFormatter(DefaultHelpFormatter):
    """Help that says what a flag is for and what it is by default, and leaves Python's types out."""

    def _get_help_string(self, action: argparse.Action) -> str:
        none = any(action.default is value for value in (None, False, argparse.SUPPRESS))
        default = "" if none else " (default: %(default)s)"
        return f"{action.help or ''}{default}"


class FlagParser(ArgumentParser):
    """A parser whose help writes long flags with hyphens."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, exit_on_error=False, formatter_class=_HelpFormatter, allow_abbrev=False)

    def format_help(self, *arguments: Any, **options: Any) -> str:
        return hyphenated(super().format_help(*arguments, **options))


def hyphenated(text: str) -> str:
    """Write the long flags in a text with hyphens.

    Example:
        >>> hyphenated("--on_error: skip_all or --walk.beta")
        '--on-error: skip_all or --walk.beta'
    """
    return _FLAG.sub(lambda flag: flag[0].replace("_", "-"), text)


def underscored(argument: str) -> str:
    """Let flags be written with hyphens: ``--on-error`` is the parameter ``on_error``.

    Example:
        >>> underscored("--on-error=stop-now"), underscored("a-file"), underscored("-o")
        ('--on_error=stop-now', 'a-file', '--out')
    """
    flag, equals, value = argument.partition("=")
    flag = SHORT.get(flag, flag)
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else argument


def add_parameters(
    parser: ArgumentParser, function: Callable, skip: Iterable[str] = (), positional: Sequence[str] = ()
) -> list[str]:
    """Add a flag for each parameter of a function, with its type, its default and its line of the docstring.

    A ``bool`` becomes a switch, names are separated by commas, and a sequence in ``positional`` takes several words.

    Returns:
        The names of parameters without a default, but those in ``positional``.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    texts = _texts(function)
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in skip:
            continue
        hint, text = hints[name], texts[name][:1].upper() + texts[name][1:]
        if name in positional:
            several = getattr(hint, "__origin__", None) not in (None, type)
            options: dict[str, Any] = {"nargs": "+", "type": hint.__args__[0]} if several else {"type": hint}
            parser.add_argument(name, help=text, **options)
        elif hint is bool:
            parser.add_argument(f"--{name}", action="store_true", help=text)
        else:
            given = parameter.default is not inspect.Parameter.empty
            kind = _names if hint == tuple[str, ...] | None else hint if given else hint | None
            parser.add_argument(f"--{name}", type=kind, default=parameter.default if given else None, help=text)
            required += [] if given else [name]
    return required


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Split names separated by commas; jsonargparse checks the result by asking again."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def add_settings(parser: ArgumentParser, sections: Iterable[str]) -> None:
    """Add the flags of the settings that hold for all stages, and those of some sections of the config."""
    other = {name for name in setting_sections() if name not in sections}
    parser.add_argument("--classes", type=_names, default=None, help=CLASSES_HELP)
    parser.add_class_arguments(PipelineConfig, None, skip={"classes", *other})


def setting_sections() -> tuple[str, ...]:
    """Return the names of the config's sections.

    Example:
        >>> "walk" in setting_sections(), "seed" in setting_sections()
        (True, False)
    """
    config = PipelineConfig()
    return tuple(f.name for f in fields(PipelineConfig) if is_dataclass(getattr(config, f.name)))


def parse(parser: ArgumentParser, arguments: Sequence[str], elsewhere: dict[str, str]) -> Namespace:
    """Return what was given on the command line, and nothing else.

    Args:
        elsewhere: flags that other commands have -> which ones, for the message about an unknown one.

    Raises:
        InputError: an argument is not known or not of its type.
    """
    try:
        return parser.parse_args(arguments, defaults=False)
    except (ArgumentError, ValueError) as error:
        raise InputError(_explained(one_line(error), parser, elsewhere)) from None


def _explained(message: str, parser: ArgumentParser, elsewhere: dict[str, str]) -> str:
    """Say where a flag belongs, or which one was probably meant."""
    unknown = re.search(r"(?:unrecognized arguments: --|option ')([\w.-]+)", message)
    if unknown is None:
        return hyphenated(in_plain_words(message, "--"))
    flag, command = unknown[1].partition("=")[0], parser.prog.split()[-1]
    if flag in elsewhere:
        return hyphenated(f"--{flag}: is not a flag of {command} but of {elsewhere[flag]}")
    known = [key for action in parser._actions for key in action.option_strings if key.startswith("--")]
    likely = nearest(f"--{flag}", known)
    return hyphenated(f"--{flag}: {command} has no such flag; did you mean {likely}?")


def ask_for(function: Callable, given: dict[str, Any], made: Iterable[str]) -> None:
    """Raise if a parameter without a default was not given.

    Args:
        made: parameters that no flag gives.

    Raises:
        InputError: the first one that is missing.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in given and name not in made:
            text = _texts(function)[name]
            raise InputError(f"--{name}: missing; {text[:1].lower()}{text[1:]}")


def _texts(function: Callable) -> dict[str, str]:
    """Return what a function's docstring says of its parameters."""
    documented = docstring_parser.parse(inspect.getdoc(function) or "").params
    return {item.arg_name: " ".join((item.description or "").split()) for item in documented}


def with_changes(config: Config, changes: dict[str, Any], prefix: str = "--") -> Config:
    """Return a config with some (nested) settings changed.

    Raises:
        InputError: a value is out of its range; the message names its flag.

    Example:
        >>> with_changes(PipelineConfig(), {"seed": 3, "walk": {"beta": 4.0}}).walk.beta
        4.0
    """
    nested = {
        key: with_changes(getattr(config, key), value, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    try:
        return replace(config, **nested)  # type: ignore[type-var]
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith("--") else hyphenated(f"{prefix}{text}")) from None
