"""Recipes: the settings a network was measured with, the paper's, and the demo's."""

from __future__ import annotations

import dataclasses

from affinitynet.config.settings import (
    CamConfig,
    CRFParams,
    EvaluateConfig,
    InstanceConfig,
    MaskConfig,
    PipelineConfig,
    PredictConfig,
    RefineConfig,
    SeedConfig,
    WalkConfig,
)
from affinitynet.config.trainings import AffinityConfig, ClassifierConfig, IRNetConfig, SegmenterConfig
from affinitynet.errors import InputError

PLAIN_SEGMENTER = SegmenterConfig(
    epochs=4,
    min_steps=240,
    batch_size=8,
    optimizer="sgd",
    learning_rate=0.001,
    weight_decay=5e-4,
    warm_up=0,
    rounds=1,
    labelled_crops=0.0,
    dice=0.0,
    tag_loss=0.0,
    precision="float32",
)
"""One training by the cross-entropy alone, as after the papers' masks."""

PLAIN_PREDICTION = PredictConfig(scales=(1.0,), mirror="each", crf=False, precision="float32")
"""One size, plain and mirrored."""


def _paper(network: str) -> PipelineConfig:
    """Return every setting of the released code (docs/reproduce.md)."""
    # The released optimiser's weight decay lands in its momentum argument as well.
    momentum = 5e-4
    return PipelineConfig(
        network=network,
        longest_side=None,
        classifier=ClassifierConfig(
            epochs=15,
            min_steps=0,
            crop_size=448,
            learning_rate=0.1,
            momentum=momentum,
            precision="float32",
            min_scale=256 / 448,
            max_scale=512 / 448,
            maps="cam",
            hold_out=0.0,
        ),
        cams=CamConfig(precision="float32"),
        affinity=AffinityConfig(
            epochs=8,
            min_steps=0,
            crop_size=448,
            learning_rate=0.1,
            momentum=momentum,
            precision="float32",
            start="imagenet",
            freeze_backbone=False,
            border="original",
        ),
        walk=WalkConfig(alphas=(4.0, 8.0, 16.0, 24.0, 32.0), precision="float32"),
        masks=MaskConfig(source="walk", keep_tags=False),
        refine=RefineConfig(masks=False),
        segmenter=PLAIN_SEGMENTER,
        predict=PLAIN_PREDICTION,
    )


def _irn() -> PipelineConfig:
    """Return every setting of the released code of IRNet (docs/reproduce.md)."""
    # As in AffinityNet's code the weight decay lands in the momentum argument.
    momentum = decay = 1e-4
    still = (0.0, 0.0, 0.0, 0.0)
    return PipelineConfig(
        network="resnet50",
        longest_side=None,
        propagation="irnet",
        classifier=ClassifierConfig(
            epochs=5,
            min_steps=0,
            batch_size=16,
            crop_size=512,
            learning_rate=0.1,
            momentum=momentum,
            weight_decay=decay,
            jitter=still,
            precision="float32",
            min_scale=320 / 512,
            max_scale=640 / 512,
            maps="cam",
            hold_out=0.0,
        ),
        cams=CamConfig(multiple=16, grid=4, precision="float32"),
        seeds=SeedConfig(thresholds=(0.05, 0.3), certainty=0.7),
        crf=CRFParams(bilateral_sxy=50.0, bilateral_srgb=5.0),
        irnet=IRNetConfig(
            epochs=3,
            min_steps=0,
            batch_size=32,
            crop_size=512,
            learning_rate=0.1,
            momentum=momentum,
            weight_decay=decay,
            jitter=still,
            precision="float32",
            border="original",
            canvas=512,
        ),
        walk=WalkConfig(beta=10.0, alphas=(16.0,), precision="float32"),
        masks=MaskConfig(source="walk", threshold=0.25, relative=True, keep_tags=False),
        refine=RefineConfig(masks=False),
        instances=InstanceConfig(within_masks=False),
        segmenter=PLAIN_SEGMENTER,
        predict=PLAIN_PREDICTION,
        evaluate=EvaluateConfig(cam_threshold=0.15),
    )


PRESETS: dict[str, PipelineConfig] = {
    "lite": PipelineConfig(),
    "vgg16": _paper("vgg16"),
    "resnet38": _paper("resnet38"),
    "resnet50": PipelineConfig(network="resnet50"),
    "irn": _irn(),
}
"""Name -> recipe: ``lite`` as measured in docs/how-it-adapts.md, the paper's networks as released."""

DEMO = PipelineConfig(
    classifier=ClassifierConfig(
        epochs=9,
        min_steps=0,
        batch_size=8,
        crop_size=160,
        learning_rate=0.004,
        min_scale=1.0,
        max_scale=2.0,
        maps="cam",
    ),
    cams=CamConfig(scales=(0.75, 1.5)),
    seeds=SeedConfig(low_alpha=3.0),
    # Photographs taught the backbone little of a drawn world: its head alone walks worse than the CRF (51 against 62).
    affinity=AffinityConfig(epochs=5, min_steps=0, crop_size=192, freeze_backbone=False),
    walk=WalkConfig(steps=128),
    refine=RefineConfig(masks=True),
    segmenter=SegmenterConfig(epochs=3, min_steps=0, crop_size=160, rounds=1),
)
"""The recipe of the drawn world: small pictures, minutes on two cores."""


def preset(name: str) -> PipelineConfig:
    """Return a recipe by its name or its network's; a timm network takes lite's.

    Raises:
        InputError: there is no such recipe.

    Example:
        >>> preset("vgg16").walk.steps, preset("timm:resnet50").network
        (256, 'timm:resnet50')
    """
    if name.startswith("timm:"):
        return dataclasses.replace(PRESETS["lite"], network=name)
    if name not in PRESETS:
        raise InputError(f"{name}: unknown network or preset; known: {', '.join(PRESETS)}, timm:NAME")
    return PRESETS[name]
