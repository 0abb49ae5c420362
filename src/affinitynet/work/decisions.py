"""The plan that ``config.yaml`` notes: what the collection has decided of the settings left open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import yaml

from affinitynet.config.adaptation import Decision
from affinitynet.config.config_file import read_yaml, stored_plan
from affinitynet.errors import InputError
from affinitynet.files import write_text

RESTORE = "without it nobody knows how the files in the folder were made: restore it from a copy, or name a new --work"
"""What to do where a file that says how the others were made is lost or changed."""


def read_decisions(config_file: Path) -> tuple[Decision, ...]:
    """Return all decisions in their order; a later one of a setting overrules an earlier one.

    Raises:
        InputError: the plan was changed to something else.
    """
    lines = stored_plan(config_file) if config_file.exists() else []
    try:
        return tuple(Decision(**line) for line in lines)
    except TypeError as error:
        raise InputError(f"{config_file}: plan: not a list of decisions ({error}); {RESTORE}") from None


def write_decisions(config_file: Path, decisions: Iterable[Decision]) -> None:
    """Write decisions in the place of those that the file has."""
    content = read_yaml(config_file) if config_file.exists() else {}
    content["plan"] = [asdict(decision) for decision in decisions]
    write_text(config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
