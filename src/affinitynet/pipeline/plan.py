"""What a run will do: a pure function of what decides the stages and of what the work folder has on record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affinitynet.config.config_file import differences
from affinitynet.errors import InputError
from affinitynet.pipeline.table import Stage
from affinitynet.work.folder import StageRecord

WORTH_SAYING = 0.1
"""Hours from which --force says how long the stages took that it recomputes."""

Action = Literal["skip", "resume", "recompute", "run"]
"""Skip what finished, resume what was interrupted, recompute what was made under other facts, run what never ran."""


@dataclass(frozen=True)
class Facts:
    """What decides a stage, besides the stages it needs.

    Args:
        settings: name -> value, plain YAML types.
        images: digest of names, tags and contents of its images.
        truth: digest of its ground truth; empty where that decides nothing.
    """

    settings: dict[str, Any]
    images: str
    truth: str = ""


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Args:
        actions: chosen stage's name -> what is done with it, in order.
        fingerprints: stage's name -> digest of everything that decides its result.
        forget: stages made under other facts, whose records and outputs go first; also ones that are not chosen.
    """

    actions: dict[str, Action]
    fingerprints: dict[str, str]
    forget: tuple[Stage, ...]


def make_plan(
    table: Sequence[Stage],
    chosen: Sequence[Stage],
    facts: Mapping[str, Facts],
    records: Mapping[str, StageRecord],
    work: Path,
    force: bool = False,
) -> Plan:
    """Decide what is skipped, resumed, recomputed and run.

    An expensive stage that is neither chosen nor needed stays as it is, with the fingerprint it was made under: other
    masks leave the segmentation network alone until it is to be trained again.

    Args:
        table: all stages, in order.
        chosen: those to be run.
        facts: stage's name -> what decides it.
        records: stage's name -> what the work folder has on record.
        work: the work folder, for messages.
        force: recompute expensive stages that were made under other facts.

    Raises:
        InputError: an expensive stage was made under other facts and ``force`` is not given, or a stage that is needed
            has not finished.
    """
    fingerprints = _fingerprints(table, {stage.name for stage in chosen}, facts, records)
    concerned = _with_needs(table, chosen)
    forget = tuple(
        stage
        for stage in table
        if stage.name in records
        and records[stage.name].fingerprint != fingerprints[stage.name]
        and (stage.cheap or stage.name in concerned)
    )
    if not force and not all(stage.cheap for stage in forget):
        raise InputError(_refusal(table, forget, facts, records, work))
    finished = {name for name, record in records.items() if record.finished} - {stage.name for stage in forget}
    available = finished | {stage.name for stage in chosen}
    for stage in chosen:
        if missing := [name for name in stage.needs if name not in available]:
            raise InputError(
                f"{stage.name} needs {missing[0]}, which has not finished in --work {work}; "
                "run `affinitynet run` instead, or the missing stage first"
            )
    actions: dict[str, Action] = {}
    for stage in chosen:
        known = stage.name in records
        actions[stage.name] = (
            "skip" if stage.name in finished else "recompute" if stage in forget else "resume" if known else "run"
        )
    return Plan(actions, fingerprints, forget)


def _fingerprints(
    table: Sequence[Stage], planned: set[str], facts: Mapping[str, Facts], records: Mapping[str, StageRecord]
) -> dict[str, str]:
    """Return stage name -> digest of everything that decides its result, once the ``planned`` stages have run."""
    fingerprints: dict[str, str] = {}

    def will_exist(name: str) -> bool:
        record = records.get(name)
        return name in planned or (record is not None and record.finished and record.fingerprint == fingerprints[name])

    for stage in table:
        decisive = facts[stage.name]
        content = {
            "settings": decisive.settings,
            "images": decisive.images,
            "truth": decisive.truth,
            "needs": [fingerprints[name] for name in (*stage.needs, *filter(will_exist, stage.sees))],
        }
        fingerprints[stage.name] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return fingerprints


def _with_needs(table: Sequence[Stage], chosen: Sequence[Stage]) -> set[str]:
    """Return the names of stages and of all that they build on."""
    names = {stage.name for stage in chosen}
    for stage in reversed(table):
        if stage.name in names:
            names.update(stage.needs)
    return names


def _comparable(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings without those of drawn masks, unless there were drawn masks before and there are now."""
    if ("drawn" in old) == ("drawn" in new):
        return old, new
    return tuple({key: value for key, value in one.items() if key != "drawn"} for one in (old, new))  # type: ignore[return-value]


def _refusal(
    table: Sequence[Stage],
    forget: Sequence[Stage],
    facts: Mapping[str, Facts],
    records: Mapping[str, StageRecord],
    work: Path,
) -> str:
    """Say what was made under other facts, what differs, what --force recomputes and what stays."""
    if any(records[stage.name].settings is None for stage in forget):
        return (
            f"--work {work}: was made by an earlier version, whose records cannot be compared; "
            "name a new --work, or add --force to recompute everything in it"
        )
    changed = list(
        dict.fromkeys(
            line
            for stage in forget
            for line in differences(*_comparable(records[stage.name].settings or {}, facts[stage.name].settings))
        )
    )
    what = "; ".join(changed) or "its images, tags, drawn masks or files of weights have changed since"
    again = [f"{stage.name}{'' if records[stage.name].finished else ' (which had not finished)'}" for stage in forget]
    stays = [
        stage.name for stage in table if stage not in forget and stage.name in records and records[stage.name].finished
    ]
    hours = sum(records[stage.name].seconds for stage in forget) / 3600
    taken = f" (which took {hours:.1f} h)" if hours >= WORTH_SAYING else ""
    kept = f"; what stays: {', '.join(stays)}" if stays else ""
    return (
        f"--work {work}: was made with another configuration ({what}); "
        f"name a new --work, or add --force to recompute: {', '.join(again)}{taken}{kept}"
    )
