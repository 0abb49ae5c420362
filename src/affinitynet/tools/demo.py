"""The whole method on a drawn world, to see it work within minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affinitynet.config.presets import DEMO
from affinitynet.data.drawn_world import draw_world
from affinitynet.pipeline.run import run_stages
from affinitynet.runtime.runtime import Runtime


def run_demo(work: Path = Path("demo"), *, force: bool = False, runtime: Runtime | None = None) -> dict[str, Any]:
    """Draw a small tagged world, run the whole method on it and compare with the known masks.

    It takes four to seven minutes on two cores.

    Args:
        work: Folder for the drawn images and the results.
        force: Recompute what the folder holds under other settings.
        runtime: how to compute.

    Returns:
        The content of ``metrics.json``.
    """
    runtime, data = runtime or Runtime(), work / "data"
    if runtime.processes.first and not (data / "tags.csv").exists():
        runtime.progress.say(f"drawing a tagged world into {data} ...")
        draw_world(data)
    runtime.processes.wait()
    return run_stages(data, work / "work", DEMO, None, runtime, force)
