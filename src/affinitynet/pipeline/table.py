"""The ordered stages: what each needs, which settings decide it, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from affinitynet.pipeline.context import Context
from affinitynet.pipeline.stages.check_data import check_data
from affinitynet.pipeline.stages.evaluate import evaluate
from affinitynet.pipeline.stages.make_cams import make_cams
from affinitynet.pipeline.stages.make_masks import make_masks
from affinitynet.pipeline.stages.make_seeds import make_seeds
from affinitynet.pipeline.stages.random_walk import random_walk
from affinitynet.pipeline.stages.segment import segment
from affinitynet.pipeline.stages.train_affinity import train_affinity
from affinitynet.pipeline.stages.train_classifier import train_classifier
from affinitynet.pipeline.stages.train_segmenter import train_segmenter


@dataclass(frozen=True)
class Stage:
    """One arrow of the method.

    Args:
        name: in messages and records.
        run: does the work that is still to be done.
        needs: stages whose artifacts it reads.
        settings: fields of :class:`PipelineConfig` that decide its result.
        sees: stages whose artifacts it reads where there are any.
        shared: processes divide its work among them; otherwise the first one does it.
        outputs: what it writes, below the work folder.
        cheap: made again in seconds, so changed settings just make it again.
    """

    name: str
    run: Callable[[Context], None]
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    outputs: tuple[str, ...]
    cheap: bool = False
    sees: tuple[str, ...] = ()
    shared: bool = True


def _training(network: str) -> tuple[str, str, str]:
    return f"{network}.safetensors", f"{network}.checkpoint.safetensors", f"losses/{network}.csv"


STAGES = (
    Stage(
        "check-data",
        check_data,
        (),
        ("split", "classes", "on_error"),
        ("left_out.csv",),
        cheap=True,
        shared=False,
    ),
    Stage(
        "train-classifier",
        train_classifier,
        (),
        ("network", "taps", "weights", "seed", "split", "classes", "classifier"),
        _training("classifier"),
    ),
    Stage("make-cams", make_cams, ("train-classifier",), ("cams", "longest_side"), ("cams",)),
    Stage("make-seeds", make_seeds, ("make-cams",), ("seeds",), ("seeds",)),
    Stage("train-affinity", train_affinity, ("make-seeds",), ("affinity",), _training("affinity")),
    Stage("random-walk", random_walk, ("make-cams", "train-affinity"), ("walk",), ("walks",)),
    Stage("make-masks", make_masks, ("random-walk",), ("masks",), ("masks",), cheap=True),
    Stage("train-segmenter", train_segmenter, ("make-masks",), ("segmenter",), _training("segmenter")),
    Stage("segment", segment, ("train-segmenter",), ("predict",), ("segmented",), cheap=True),
    Stage(
        "evaluate",
        evaluate,
        ("make-seeds", "make-masks"),
        ("evaluate",),
        ("metrics.json", "metrics.csv", "contact_sheet.png"),
        cheap=True,
        sees=("segment",),
        shared=False,
    ),
)
