"""Which background strength, and where asked which beta and t, fits the available ground truth best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from affinitynet.config.adaptation import given
from affinitynet.errors import InputError
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import open_finished
from affinitynet.tools.tune.setting import Setting, Tuning


def tune_masks(
    work: Path,
    *,
    data: Path | None = None,
    on: str | None = None,
    betas: Sequence[float] = (),
    steps: Sequence[int] = (),
    runtime: Runtime | None = None,
) -> Tuning:
    """Choose alpha (and beta, t) by the ground-truth masks that exist; ten are enough to begin with.

    The choice is written to config.yaml of the work folder, and the masks are recomputed with it.

    Args:
        work: Work folder with finished masks.
        data: The collection, if it has moved since; null: where it was.
        on: Split whose masks to measure on; null: the first that has any. Confirm on another one.
        betas: Exponents of the affinities to try too; each walks again, about 0.2 s an image.
        steps: Lengths t of the walk to try too, with each beta.
        runtime: how to compute; by default on a GPU if there is one, on every core.

    Raises:
        InputError: there are no masks yet, or no ground truth.
    """
    from affinitynet.pipeline.run import open_context, run_stages
    from affinitynet.tools.tune.measure import confusion_matrices, miou, resampled_gains

    runtime = runtime or Runtime()
    finished = open_finished(work, data)
    config, source, measurable = finished.config, finished.collection.root, finished.collection.evaluation_splits
    if not measurable:
        raise InputError(f"--data {source}: has no ground-truth masks to tune on; draw a few (docs/own-data.md)")
    split = on or measurable[0]
    records = finished.collection.masked(split)
    if not records:
        raise InputError(
            f"--on {split}: has no ground-truth masks; draw a few (docs/own-data.md) or name another split"
        )
    if config.masks.source != "walk":
        raise InputError(
            f"--work {work}: its masks come from the {config.masks.source}, not from the random walk, whose settings "
            "`tune` chooses; run with --masks.source walk first"
        )
    walk = config.walk
    present = Setting(walk.beta, walk.steps, given(config.masks.alpha))
    walks = list(dict.fromkeys([(walk.beta, walk.steps), *product(betas or (walk.beta,), steps or (walk.steps,))]))
    settings = [Setting(*pair, alpha) for pair in walks for alpha in walk.alphas]
    context = open_context(source, finished.folder, config, runtime, finished.tags)
    matrices = dict(zip(settings, confusion_matrices(context, records, settings), strict=True))
    found = {setting: miou(matrices[setting]) for setting in settings}
    best = max(settings, key=lambda setting: found[setting])
    better, gain = resampled_gains(matrices[best], matrices[present], config.seed)
    if best != present or config.masks.threshold is not None:
        stages = ("random-walk", "make-masks", "evaluate")
        run_stages(source, work, best.applied_to(finished.given), stages, runtime, force=True, tags=finished.tags)
    return Tuning(split, len(records), found, present, best, better, gain)
