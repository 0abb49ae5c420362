"""The ordered stages. A row says all of a stage: what it needs, what decides it, what it writes, who runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from affinitynet.config.settings import PipelineConfig
    from affinitynet.pipeline.context import Context

Images = Literal["training", "target", "checked", "unseen"]
"""Which images decide a stage: those trained on, those to be given masks, those and what cannot be used of them, or
those that the segmentation network is measured on."""


@dataclass(frozen=True)
class Stage:
    """One arrow of the method: a function of :class:`Context` in the file of its name below ``stages/``.

    Args:
        name: in messages and records; ``make-cams`` is the function ``make_cams`` of ``stages/make_cams.py``.
        help: what it does, in a line of the command's help.
        needs: stages whose artifacts it reads.
        settings: fields of :class:`PipelineConfig` that decide its result.
        images: which images decide its result.
        outputs: what it writes, below the work folder.
        commands: that run it besides ``run``; by default one of its own name.
        sees: stages whose artifacts it reads if there are any.
        truth: whether ground truth decides its result.
        drawn: whether drawn masks decide its result.
        cheap: recomputed in seconds, so changed settings need no --force.
        shared: processes divide its work among them; otherwise the first one does it.
    """

    name: str
    help: str
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    images: Images
    outputs: tuple[str, ...]
    commands: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    truth: bool = False
    drawn: bool = False
    cheap: bool = False
    shared: bool = True

    @property
    def taken(self) -> tuple[str, ...]:
        """Fields of :class:`PipelineConfig` that its commands take as flags."""
        return (*self.settings, "drawn") if self.drawn else self.settings

    def run(self, context: Context) -> None:
        """Do the work that is still to be done."""
        function = self.name.replace("-", "_")
        getattr(import_module(f"affinitynet.pipeline.stages.{function}"), function)(context)


def _training(network: str) -> tuple[str, str, str]:
    return f"{network}.safetensors", f"{network}.checkpoint.safetensors", f"losses/{network}.csv"


OF_A_NETWORK = ("network", "taps", "weights", "seed")
"""Fields of :class:`PipelineConfig` that decide a network; the classifier's decide those that need it."""

STAGES = (
    Stage(
        name="check-data",
        help="read every image, mask and row of the collection and list what cannot be used",
        needs=(),
        settings=("split", "classes", "on_error"),
        images="checked",
        outputs=("left_out.csv", "collection.json", "values.json", "drawn"),
        commands=("check-data", "train-classifier"),
        truth=True,
        drawn=True,
        cheap=True,
        shared=False,
    ),
    Stage(
        name="train-classifier",
        help="learn from the tags which classes are in an image",
        needs=(),
        settings=(*OF_A_NETWORK, "split", "classes", "classifier"),
        images="training",
        outputs=(*_training("classifier"), "classifier.json"),
        drawn=True,
    ),
    Stage(
        name="make-cams",
        help="find where the classifier saw each tagged class: class activation maps; or take those of another method, "
        "with --cams.from FOLDER",
        needs=("train-classifier",),
        settings=("cams", "longest_side"),
        images="target",
        outputs=("cams",),
    ),
    Stage(
        name="make-seeds",
        help="sharpen the activation maps with a dense CRF into confident seeds",
        needs=("make-cams",),
        settings=("seeds", "crf"),
        images="target",
        outputs=("seeds",),
    ),
    Stage(
        name="train-affinity",
        help="learn from the seeds which neighbouring pixels belong together",
        needs=("make-seeds",),
        settings=("affinity", "propagation"),
        images="training",
        outputs=_training("affinity"),
        drawn=True,
    ),
    Stage(
        name="train-irnet",
        help="with --propagation irnet: learn from the seeds where the boundaries between classes are",
        needs=("make-seeds",),
        settings=("irnet", "propagation"),
        images="training",
        outputs=_training("irnet"),
        drawn=True,
    ),
    Stage(
        name="random-walk",
        help="spread the activation maps along the affinities",
        needs=("make-cams", "train-affinity", "train-irnet"),
        settings=("walk", "propagation"),
        images="target",
        outputs=("walks",),
        commands=("make-masks",),
    ),
    Stage(
        name="make-masks",
        help="spread the activation maps by random walk and decide the masks; with another --masks.alpha or "
        "--masks.threshold the kept walk is decided again in seconds",
        needs=("make-seeds", "random-walk"),
        settings=("masks", "crf"),
        images="target",
        outputs=("first_masks", "masks", "added.csv", "doubts.csv"),
        drawn=True,
        cheap=True,
    ),
    Stage(
        name="train-segmenter",
        help="train a segmentation network on the masks, for images without tags",
        needs=("make-masks",),
        settings=("segmenter",),
        images="training",
        outputs=(*_training("segmenter"), "segmenter.round.safetensors", "relabelled"),
        drawn=True,
    ),
    Stage(
        name="refine-masks",
        help="make the masks anew with the segmentation network, which is told the tags; with --refine.masks false, "
        "take back those that it learnt from",
        needs=("train-segmenter",),
        settings=("refine", "predict"),
        images="target",
        outputs=("refined", "added_refined.csv", "doubts_refined.csv"),
        drawn=True,
        commands=("train-segmenter",),
        cheap=True,
    ),
    Stage(
        name="make-instances",
        help="with --propagation irnet: tell the objects of a class apart",
        needs=("random-walk", "make-masks"),
        settings=("instances",),
        images="target",
        outputs=("instances",),
        sees=("refine-masks",),
        cheap=True,
    ),
    Stage(
        name="segment",
        help="label measured images that the segmentation network has not learnt from, without their tags",
        needs=("train-segmenter",),
        settings=("predict",),
        images="unseen",
        outputs=("segmented",),
        commands=("train-segmenter",),
        cheap=True,
    ),
    Stage(
        name="evaluate",
        help="measure every step against ground-truth masks and draw the contact sheet",
        needs=("make-seeds", "make-masks"),
        settings=("evaluate",),
        images="target",
        outputs=("metrics.json", "metrics.csv", "objects.json", "contact_sheet.png", "advice.txt"),
        sees=("refine-masks", "make-instances", "segment"),
        truth=True,
        cheap=True,
        shared=False,
    ),
)


TRAININGS = ("train-affinity", "train-irnet", "train-segmenter")
"""The stages that train a network after the classifier."""

PROPAGATION = {"affinity": "train-affinity", "irnet": "train-irnet"}
"""What the random walk follows -> the stage that learns it."""


def stages_of(config: PipelineConfig) -> tuple[Stage, ...]:
    """Return the stages with what they need under some settings.

    Activation maps of another method need no classifier; then only what starts from the classifier needs it. The walk
    needs the network that it follows, not the other one. The paper's classifier learns from tags alone, and sees images
    at their own size.

    Example:
        >>> from affinitynet.config.settings import CamConfig, PipelineConfig
        >>> [stage.needs for stage in stages_of(PipelineConfig(cams=CamConfig(from_folder="maps")))[2:5]]
        [(), ('make-cams',), ('make-seeds', 'train-classifier')]
    """
    taken, other = config.cams.from_folder is not None, of_other_propagation(config)
    local = config.classifier.maps == "local"
    sees_drawn = local and config.classifier.trained is None
    starting = {"train-affinity": config.affinity.start, "train-segmenter": config.segmenter.start}

    def needs(stage: Stage) -> tuple[str, ...]:
        if taken and stage.name == "make-cams":
            return ()
        more = ("train-classifier",) if taken and starting.get(stage.name) == "classifier" else ()
        return (*(name for name in stage.needs if name not in other), *more)

    def drawn(stage: Stage) -> bool:
        return stage.drawn and (stage.name != "train-classifier" or sees_drawn)

    def settings(stage: Stage) -> tuple[str, ...]:
        if stage.name == "train-classifier":
            return (*stage.settings, "longest_side") if local else stage.settings
        return (*stage.settings, *OF_A_NETWORK) if taken and stage.name in TRAININGS else stage.settings

    return tuple(replace(stage, needs=needs(stage), settings=settings(stage), drawn=drawn(stage)) for stage in STAGES)


def why_left_out(stage: str, config: PipelineConfig) -> str | None:
    """Return why a stage has nothing to do under settings in which none is left open; ``None`` if it has.

    Example:
        >>> from affinitynet.config.adaptation import adapted
        >>> from affinitynet.config.settings import MaskConfig, PipelineConfig
        >>> why_left_out("random-walk", adapted(PipelineConfig(masks=MaskConfig(source="crf"))))
        'masks.source is crf'
    """
    if stage in of_other_propagation(config):
        return f"propagation is {config.propagation}"
    source = config.masks.source
    if stage in (*PROPAGATION.values(), "random-walk", "make-instances") and source != "walk":
        return f"masks.source is {source}"
    return None


def of_other_propagation(config: PipelineConfig) -> set[str]:
    """Return the stages that only another propagation than the chosen one has.

    Example:
        >>> from affinitynet.config.settings import PipelineConfig
        >>> of_other_propagation(PipelineConfig(propagation="irnet"))
        {'train-affinity'}
    """
    others = set(PROPAGATION.values()) - {PROPAGATION[config.propagation]}
    return others if config.propagation == "irnet" else others | {"make-instances"}


def commands() -> dict[str, tuple[Stage, ...]]:
    """Return the commands that run stages, each with its stages; ``run`` runs them all.

    Example:
        >>> [stage.name for stage in commands()["make-masks"]]
        ['random-walk', 'make-masks']
    """
    found: dict[str, list[Stage]] = {"run": list(STAGES)}
    for stage in STAGES:
        for command in stage.commands or (stage.name,):
            found.setdefault(command, []).append(stage)
    return {command: tuple(stages) for command, stages in found.items()}
