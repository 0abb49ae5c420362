"""The commands that run stages: where their settings come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affinitynet.cli.flags import with_changes
from affinitynet.config.config_file import read_config, stored_data, stored_tags
from affinitynet.config.presets import preset as named_preset
from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_stages
from affinitynet.pipeline.table import Stage
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder


def run_from_flags(
    work: Path,
    *,
    data: Path | None = None,
    tags: Path | None = None,
    preset: str | None = None,
    config: Path | None = None,
    force: bool = False,
    changes: dict[str, Any],
    stages: Sequence[Stage],
    runtime: Runtime,
) -> dict[str, Any]:
    """Run stages with the settings of a preset, of the work folder, of a file and of flags, the later ones winning.

    Args:
        work: Work folder: everything made goes here.
        data: VOC devkit folder, or folder of images with a table of tags; null: the one --work was made from.
        tags: Table of tags (CSV, .xlsx, JSON), wherever it is; null: that in --data, or the one --work was made from.
        preset: Recipe the settings start from: lite, vgg16, resnet38 (the paper's) or irn; null: the network's own.
        config: YAML file of settings; flags win over it.
        force: Recompute what the work folder holds under other settings.
        changes: settings given as flags, nested.
        stages: those to run.
        runtime: how to compute.

    Returns:
        The content of ``metrics.json``, empty before ``evaluate`` ran.

    Raises:
        InputError: the input is wrong; the message says what, where and how to fix it.
    """
    stored = WorkFolder(work).config_file
    chosen = with_changes(_base(stored, preset, config, changes.get("network")), changes)
    source = data or (stored_data(stored) if stored.exists() else None)
    table = tags or (stored_tags(stored) if data is None and stored.exists() else None)
    if source is None and stages[0].needs:
        raise InputError(
            f"--work {work}: nothing was trained there; run `affinitynet run` first, or name the work folder of a run"
        )
    if source is None:
        raise InputError("--data: missing; name the folder that holds your images and their tags")
    return run_stages(source, work, chosen, [stage.name for stage in stages], runtime, force, table)


def _base(stored: Path, preset: str | None, config: Path | None, network: str | None) -> PipelineConfig:
    """Return the settings that flags change."""
    base = named_preset(preset or network or "lite")
    if preset is None and stored.exists():
        base = read_config(stored, base)
    return base if config is None else read_config(config, base)
