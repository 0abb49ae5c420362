"""The table at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Table

from affinitynet.work.folder import StageRecord
from affinitynet.work.metrics import Metrics, StepMetrics, steps_of

if TYPE_CHECKING:
    from affinitynet.tools.audit_tags import Suspicion
    from affinitynet.tools.tune.setting import Setting, Tuning

PAIRS_A_TABLE = 5
SURE = 0.95  # share of resampled collections from which a gain counts as likely


def quality_table(metrics: Metrics) -> Table:
    """Return mIoU per step (rows) and split (columns); a cell is empty where a step was not measured.

    Example:
        >>> import numpy as np
        >>> found = StepMetrics.of(np.array([[3, 1], [0, 4]]), ["cat"], images=2)
        >>> quality_table({"val": {"CAM": found}}).row_count
        1
    """
    table = Table(title="mIoU, %", title_justify="left")
    table.add_column("step")
    counts = {split: next(iter(steps.values())).images for split, steps in metrics.items()}
    for split, count in counts.items():
        table.add_column(f"{split} ({count} images)", justify="right")
    for step in steps_of(metrics):
        table.add_row(step, *(_cell(steps.get(step), counts[split]) for split, steps in metrics.items()))
    return table


def _cell(found: StepMetrics | None, images: int) -> str:
    if found is None:
        return ""
    text = _percent(found.miou) if found.tells else "-"
    if found.images != images:
        text = f"{text} ({found.images} images)"
    return text if found.threshold is None else f"{text} (at {found.threshold:.2f})"


def class_table(title: str, found: StepMetrics) -> Table:
    """Return IoU, precision and recall of each class that occurs in a step's masks or in the ground truth.

    Example:
        >>> import numpy as np
        >>> class_table("val", StepMetrics.of(np.array([[3, 1], [0, 0]]), ["cat"], images=1)).row_count
        3
    """
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("IoU, %", "precision, %", "recall, %"):
        table.add_column(column, justify="right")
    for name, iou in found.iou.items():
        if _percent(iou) != "-":
            table.add_row(name, *map(_percent, (iou, found.precision[name], found.recall[name])))
    table.add_section()
    means = (found.miou, found.pixel_accuracy) if found.tells else (math.nan, math.nan)
    table.add_row("mean; pixel accuracy", _percent(means[0]), "", _percent(means[1]))
    return table


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}"


def audit_table(suspicions: Sequence[Suspicion]) -> Table:
    """Return the tags that the classifier contradicts, one a row."""
    table = Table(title="tags to look at", title_justify="left")
    for name, side in (("image", "left"), ("class", "left"), ("tag", "left"), ("probability, %", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for found in suspicions:
        table.add_row(found.image, found.class_name, f"{found.kind}?", _percent(found.probability))
    return table


def time_table(records: dict[str, StageRecord]) -> Table:
    """Return seconds per stage and the peak memory so far, from the work folder's stage records.

    Example:
        >>> time_table({"make-cams": StageRecord("0a", finished=True, seconds=1.5, peak_memory_mb=900)}).row_count
        2
    """
    table = Table(title="time and memory", title_justify="left")
    for name, side in (("stage", "left"), ("seconds", "right"), ("peak memory so far, MB", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for stage, record in records.items():
        table.add_row(stage, f"{record.seconds:.1f}", str(record.peak_memory_mb or "-"))
    table.add_row("all", f"{sum(record.seconds for record in records.values()):.1f}", "")
    return table


def tuning_tables(tuning: Tuning) -> list[Table]:
    """Return mIoU by alpha (rows) and beta and t (columns), the best and the present setting marked.

    More pairs of beta and t than fit beside each other on a narrow terminal go into further tables.
    """
    title = f"mIoU on {tuning.split} ({tuning.images} images), %"
    alphas = list(dict.fromkeys(setting.alpha for setting in tuning.miou))
    pairs = list(dict.fromkeys((setting.beta, setting.steps) for setting in tuning.miou))
    tables = []
    for first in range(0, len(pairs), PAIRS_A_TABLE):
        table, beside = Table(title=title, title_justify="left"), pairs[first : first + PAIRS_A_TABLE]
        table.add_column()
        for beta, steps in beside:
            table.add_column(f"beta {beta:g}\nt {steps}", justify="right", no_wrap=True)
        for alpha in alphas:
            settings = [replace(tuning.best, beta=beta, steps=steps, alpha=alpha) for beta, steps in beside]
            table.add_row(f"alpha {alpha:g}", *(_tuned_cell(tuning, setting) for setting in settings))
        tables.append(table)
    return tables


def _tuned_cell(tuning: Tuning, setting: Setting) -> str:
    text = f"{100 * tuning.miou[setting]:.1f}"
    if setting == tuning.best:
        return f"[bold green]{text} best[/]"
    return f"{text} now" if setting == tuning.present else text


def tuning_verdict(tuning: Tuning) -> str:
    """Say in a sentence what was chosen and how sure that is."""
    best, present = tuning.best, tuning.present
    what = f"beta {best.beta:g}, t {best.steps}, alpha {best.alpha:g}"
    if best == present:
        return f"the present setting ({what}) is the best of these; nothing to change"
    low, high = (100 * gain for gain in tuning.gain)
    sure = "likely" if tuning.better >= SURE else "not sure: more masks would tell"
    return (
        f"chosen: {what}; better than before on {100 * tuning.better:.0f} % of resampled collections of these "
        f"{tuning.images} images, by {low:+.1f} to {high:+.1f} points ({sure})"
    )
