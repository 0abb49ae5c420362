"""What corrections were worth: how good the masks are now, and were when fewer images had been corrected."""

from __future__ import annotations

from affinitynet.data.findings import count
from affinitynet.pipeline.context import Context
from affinitynet.work.metrics import MASKS, SEGMENTER, Metrics
from affinitynet.work.rows import append_rows, read_rows

HEADER = ("evaluation", "split", "images", "corrections", "masks", "network")


def note_history(context: Context, metrics: Metrics) -> None:
    """Note how good masks and network are, and say what the corrections since the last time were worth.

    Args:
        metrics: split -> step -> numbers.
    """
    corrections, training = context.work.corrections, {record.name for record in context.training_images}
    taught = [name for name in corrections.names() if name in training]  # of other images they teach nothing
    corrected = sum(corrections.load(name).verdict is not None for name in taught)
    table = context.work.root / "history.csv"  # no output of a stage: a run never deletes it
    before = [row for row in read_rows(table, HEADER) if row[0].isdigit()]
    number = 1 + max((int(row[0]) for row in before), default=0)
    rows: list[tuple[str, ...]] = [] if table.exists() else [HEADER]
    for split, steps in metrics.items():
        now = {step: steps[step].miou for step in (MASKS, SEGMENTER) if step in steps}
        last = max((row for row in before if row[1] == split), key=lambda row: int(row[0]), default=None)
        if last is not None and last[3] != str(corrected) and MASKS in now:
            was = ", ".join(
                f"{what} {100 * float(old):.1f} -> {100 * now[step]:.1f}"
                for what, step, old in (("masks", MASKS, last[4]), ("network", SEGMENTER, last[5]))
                if step in now and old
            )
            others = "" if last[2] == str(steps[MASKS].images) else f" ({last[2]} images then)"
            context.runtime.progress.say(
                f"evaluate: {split}, {steps[MASKS].images} images{others}: "
                f"mIoU with {count(corrected, 'correction')} instead of {last[3]}, %: {was}"
            )
        images = str(steps[MASKS].images) if MASKS in steps else ""
        numbers = [f"{now[step]:.6f}" if step in now else "" for step in (MASKS, SEGMENTER)]
        rows.append((f"{number}", split, images, str(corrected), *numbers))
    append_rows(rows, table)
