"""Settings from YAML and to YAML, checked; typed parsing is jsonargparse's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from affinitynet.config.settings import PipelineConfig
from affinitynet.config.wrong_values import check_nulls, in_plain_words
from affinitynet.errors import InputError, nearest, one_line

set_parsing_settings(docstring_parse_attribute_docstrings=True)

NOTES = ("data", "tags", "versions", "plan")
"""What ``config.yaml`` of a work folder notes beside the settings."""


def to_dict(config: Any) -> dict:
    """Return a config as plain YAML types.

    Example:
        >>> from affinitynet.config.settings import SeedConfig
        >>> to_dict(SeedConfig())
        {'low_alpha': None, 'high_alpha': None, 'crf_scale': None, 'thresholds': None, 'certainty': 0.7}
    """
    return {
        key: [*value] if isinstance(value, tuple) else to_dict(value) if isinstance(value, dict) else value
        for key, value in (config if isinstance(config, dict) else dataclasses.asdict(config)).items()
    }


def read_config(path: Path, base: PipelineConfig) -> PipelineConfig:
    """Read a YAML config over the defaults of ``base``.

    Raises:
        InputError: the file cannot be read, a key is unknown (the nearest is named) or a value is
            out of its range.
    """
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: a config is a mapping of settings, e.g. 'seed: 1'; found {type(values).__name__}")
    values = {key: value for key, value in values.items() if key not in NOTES}
    return config_from_dict(values, base, str(path))


def stored_versions(path: Path) -> dict[str, str] | None:
    """Return the versions that a work folder's ``config.yaml`` was begun with."""
    content = read_yaml(path)
    found = content.get("versions") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else None


def stored_data(path: Path) -> str | None:
    """Return the data folder that a work folder's ``config.yaml`` notes."""
    content = read_yaml(path)
    return content.get("data") if isinstance(content, dict) else None


def stored_tags(path: Path) -> str | None:
    """Return the table of tags that a work folder's ``config.yaml`` notes, if it is not the data folder's own."""
    content = read_yaml(path)
    return content.get("tags") if isinstance(content, dict) else None


def stored_plan(path: Path) -> list[dict[str, Any]]:
    """Return the decisions that a work folder's ``config.yaml`` notes; see :mod:`affinitynet.config.adaptation`."""
    content = read_yaml(path)
    found = content.get("plan") if isinstance(content, dict) else None
    return found if isinstance(found, list) and all(isinstance(line, dict) for line in found) else []


def config_from_dict(values: dict, base: PipelineConfig, source: str) -> PipelineConfig:
    """Lay ``values`` (nested, possibly partial) over ``base``; ``source`` names them in errors.

    Example:
        >>> config_from_dict({"walk": {"beta": 4}}, PipelineConfig(), "here").walk.beta
        4.0
        >>> config_from_dict({"walk": {"betta": 4}}, PipelineConfig(), "here")
        Traceback (most recent call last):
        affinitynet.errors.InputError: here: walk.betta: unknown setting; did you mean 'beta'?
    """
    _check_keys(values, to_dict(base), source, "")
    check_nulls(values, PipelineConfig, source)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(PipelineConfig, nested_key="config")
    parser.set_defaults({"config": to_dict(base)})
    try:
        parsed = parser.parse_object({"config": values})
        return parser.instantiate(parsed).config
    except (ArgumentError, ValueError, TypeError) as error:
        raise InputError(f"{source}: {in_plain_words(one_line(error))}") from None


def _check_keys(values: dict, known: dict, source: str, prefix: str) -> None:
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{source}: {prefix}{key}: unknown setting; did you mean {nearest(str(key), known)!r}?")
        if isinstance(known[key], dict):
            if not isinstance(value, dict):
                raise InputError(f"{source}: {prefix}{key}: holds settings of its own, e.g. {key}: {{...}}")
            _check_keys(value, known[key], source, f"{prefix}{key}.")


ABSENT = "no setting"
"""What is said of a setting that another version does not have."""


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """List the settings in which two configs differ, as ``name: old -> new``.

    Example:
        >>> differences({"walk": {"beta": 8}}, {"walk": {"beta": 4}})
        ['walk.beta: 8 -> 4']
    """
    found = []
    for key in [*old, *(k for k in new if k not in old)]:
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


LARGEST = 2**20  # bytes; a config has two thousand


class _Loader(yaml.SafeLoader):
    """Plain values only, and no aliases: a few nested ones unfold to more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias (*name)")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises:
        InputError: it is missing, no YAML, too large, or holds aliases or objects.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.yaml"
        >>> _ = path.write_text("walk: {beta: 4}")
        >>> read_yaml(path)
        {'walk': {'beta': 4}}
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: larger than 1 MB, which no config is; name another file")
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable YAML file ({reason}); fix it or leave it out") from None
