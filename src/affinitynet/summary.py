"""The table at the end of a run."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def quality_table(metrics: dict[str, dict[str, dict]]) -> Table:
    """Return mIoU per step (rows) and split (columns) from the content of ``metrics.json``.

    Example:
        >>> quality_table({"val": {"CAM": {"miou": 0.5, "images": 3}}}).row_count
        1
    """
    table = Table(title="mIoU, %", title_justify="left")
    table.add_column("step")
    for split, steps in metrics.items():
        count = next(iter(steps.values()))["images"]
        table.add_column(f"{split} ({count} images)", justify="right")
    for step in next(iter(metrics.values()), {}):
        table.add_row(step, *(_cell(steps[step]) for steps in metrics.values()))
    return table


def _cell(numbers: dict[str, Any]) -> str:
    text = "-" if numbers["miou"] is None else f"{100 * numbers['miou']:.1f}"
    return f"{text} (at {numbers['threshold']:.2f})" if "threshold" in numbers else text


def time_table(records: dict[str, dict]) -> Table:
    """Return seconds per stage and the peak memory so far, from the work folder's stage records.

    Example:
        >>> time_table({"make-cams": {"seconds": 1.5, "peak_memory_mb": 900, "finished": True}}).row_count
        2
    """
    table = Table(title="time and memory", title_justify="left")
    for name, side in (("stage", "left"), ("seconds", "right"), ("peak memory so far, MB", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for stage, record in records.items():
        table.add_row(stage, f"{record.get('seconds', 0):.1f}", str(record.get("peak_memory_mb", "-")))
    table.add_row("all", f"{sum(record.get('seconds', 0) for record in records.values()):.1f}", "")
    return table
