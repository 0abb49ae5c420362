"""From an image and its tags to a mask: the one place that knows both the image's frame and the networks'.

The stages call it image by image; a notebook calls :meth:`MaskPredictor.predict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.config.adaptation import PROBABILITIES, adapted, given, seed_crf
from affinitynet.config.config_file import read_config
from affinitynet.config.settings import PipelineConfig
from affinitynet.config.trainings import PrecisionChoice
from affinitynet.data.images import load_image
from affinitynet.data.transforms import normalise, reduced, resize, to_tensor
from affinitynet.errors import InputError
from affinitynet.inference.clicks import Click, ClickedMask
from affinitynet.inference.links import PairNetwork, find_links, load_pair_network, on_grid, see_pairs
from affinitynet.inference.objects import find_objects
from affinitynet.inference.refine import crf_scores, keep_tags, map_scores, mask_scores
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.classifier import TagClassifier, load_classifier
from affinitynet.models.irnet import IRNet
from affinitynet.models.local_classifier import LocalClassifier, seen_size
from affinitynet.models.segmenter import Segmenter
from affinitynet.ops.cam import class_activation_maps
from affinitynet.ops.decision import decide
from affinitynet.ops.seeds import background_score
from affinitynet.records import VALUES, Instances, Prediction, ScoreMaps, ValueRanges, Walk
from affinitynet.runtime.precision import autocast
from affinitynet.work.folder import WorkFolder


class MaskPredictor:
    """Tag-assisted labelling: turns an image and the names of what is in it into a mask.

    Args:
        classifier: gives the class activation maps; ``None`` if they are available.
        affinity_net: an AffinityNet or IRNet, gives the affinities the walk follows; ``None`` where no walk is wanted.
        segmenter: makes the masks instead of both, as far as :meth:`predict` is concerned.
        config: scales, walk and decision; the networks are as they come.
        device: where to compute.

    Example:
        >>> from affinitynet.models.affinity_net import AffinityNet
        >>> from affinitynet.models.backbones.registry import build_backbone
        >>> predictor = MaskPredictor(
        ...     TagClassifier(build_backbone("lite"), ["cat", "dog"]),
        ...     AffinityNet(build_backbone("lite")),
        ... )
        >>> found = predictor.predict(np.zeros((40, 60, 3), np.uint8), ["dog"])
        >>> found.mask.shape, found.scores.shape, found.classes
        ((40, 60), (2, 40, 60), array([1]))
    """

    def __init__(
        self,
        classifier: TagClassifier | LocalClassifier | None,
        affinity_net: PairNetwork | None,
        config: PipelineConfig | None = None,
        device: torch.device | str = "cpu",
        segmenter: Segmenter | None = None,
    ) -> None:
        self.device = torch.device(device)
        plan = PROBABILITIES if isinstance(classifier, LocalClassifier) else ()
        self.config = adapted(config or PipelineConfig(), plan)
        self.classifier, self.affinity_net = classifier, affinity_net
        self.segmenter = None
        if segmenter is not None:
            self.segmenter = SegmentationPredictor(segmenter, self.config.predict, device)
        for network in (classifier, affinity_net):
            if network is not None:
                network.to(self.device).to(memory_format=network.backbone.layout(self.device)).eval()

    @classmethod
    def from_work(cls, work: Path | str, device: torch.device | str = "cpu") -> MaskPredictor:
        """Read the networks and settings of a finished work folder.

        Raises:
            InputError: it is not a work folder, or its networks are not trained yet.
        """
        folder = WorkFolder(Path(work))
        if not folder.config_file.exists():
            raise InputError(f"{work}: not a work folder (no config.yaml); name one that `affinitynet run` made")
        config = adapted(read_config(folder.config_file, PipelineConfig()), folder.plan())
        refined = config.refine.masks and any(folder.refined.names())
        return cls(
            load_classifier(folder.weights("classifier")),
            load_pair_network(folder, config) if folder.weights(config.propagation).exists() else None,
            config,
            device,
            Segmenter.load(folder.weights("segmenter")) if refined else None,
        )

    def read(self, path: Path | str) -> np.ndarray:
        """Read an image file as uint8 [H, W, 3], deep values as in the collection that the classifier was trained on.

        Raises:
            InputError: as :func:`affinitynet.data.images.load_image`.
        """
        settings = self._classifier.settings
        return load_image(Path(path), ValueRanges.from_settings(settings.get(VALUES)))

    def predict(
        self,
        image: np.ndarray,
        tags: Sequence[str | int],
        clicks: Sequence[tuple[int, int, str | int | None]] = (),
    ) -> Prediction:
        """Make the mask of one image.

        Args:
            image: uint8 [H, W, 3] RGB.
            tags: what is in it, as class names or 0-based class numbers; empty gives background.
            clicks: (x, y, tag) of places whose class is known, ``None`` for background; the mask follows them. A
                class that is clicked needs no tag.

        Raises:
            InputError: a tag is not one of ``classes``, the image is not uint8 [H, W, 3], or a click is outside it.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image: expected uint8 [H, W, 3] RGB, got {image.dtype} {list(image.shape)}")
        said = [None if tag is None else self._class_number(tag) for _, _, tag in clicks]
        numbers = sorted({self._class_number(tag) for tag in tags} | {tag for tag in said if tag is not None})
        small = reduced(image, self.config.longest_side)
        if clicks:
            placed = [_placed(x, y, tag, image, small) for (x, y, _), tag in zip(clicks, said, strict=True)]
            return self._follow(image, small, numbers, placed)
        if self.segmenter is not None and self.segmenter.model.finds(numbers):
            scores = self.segmenter.tagged_scores(small, numbers, self.config.refine.crf)
            cams = ScoreMaps(tuple(numbers), scores[1:])
        else:
            cams = self.cams(small, numbers)
            scores = self._scores(small, cams)
        mask = decide(scores, numbers, image.shape[:2])
        if self.config.masks.keep_tags:
            mask = keep_tags(mask, cams)[0]
        return Prediction(
            mask, np.array(numbers, np.int64), scores.cpu().numpy(), self._instances(small, numbers, mask)
        )

    def _follow(
        self, image: np.ndarray, small: np.ndarray, classes: Sequence[int], clicks: Sequence[Click]
    ) -> Prediction:
        """Make the mask of an image that follows clicks, given at the size it is labelled at."""
        scores = self.clicked(small, classes).scores(clicks)
        mask = decide(scores, classes, image.shape[:2])
        instances = self._instances(small, classes, mask)
        return Prediction(mask, np.array(classes, np.int64), scores.cpu().numpy(), instances)

    @torch.inference_mode()
    def clicked(self, image: np.ndarray, classes: Sequence[int], scores: Tensor | None = None) -> ClickedMask:
        """Return what the networks see in an image, for masks that follow clicks.

        Args:
            image: uint8 [H, W, 3], at the size it is labelled at.
            classes: 0-based class numbers of what is in it, ascending.
            scores: float32 [K + 1, H, W] in [0, 1], background first, instead of those that the networks find.
        """
        if scores is None:
            scores = self._found(image, classes)
        network = self.affinity_net
        seen = None if network is None else see_pairs(network, self._input(image, network), self.config)
        return ClickedMask(image, scores, classes, seen, seed_crf(self.config))

    def _found(self, image: np.ndarray, classes: Sequence[int]) -> Tensor:
        """Return the scores [K + 1, H, W] that clicks start from."""
        if self.segmenter is not None and self.segmenter.model.finds(classes):
            return self.segmenter.tagged_scores(image, classes)
        return self._scores(image, self.cams(image, classes))

    def _instances(self, image: np.ndarray, classes: Sequence[int], mask: np.ndarray) -> Instances | None:
        """Return the objects of a mask, if there is a network that tells them apart."""
        if not isinstance(self.affinity_net, IRNet) or self.classifier is None:
            return None
        return find_objects(self.affinity_net, image, self.cams(image, classes), mask, self.config, self.device)

    def _scores(self, image: np.ndarray, cams: ScoreMaps) -> Tensor:
        """Return the scores [K + 1, H, W] of the step that ``masks.source`` names."""
        config, low = self.config, given(self.config.seeds.low_alpha)
        if config.masks.source == "cams":
            return map_scores(cams, low)
        if config.masks.source == "crf":
            return crf_scores(image, cams, config, self.device)
        return mask_scores(self.walk(image, cams), image.shape[:2], config.masks, config.crf, lambda: image)

    def _class_number(self, tag: str | int) -> int:
        classes = self._classifier.classes
        if isinstance(tag, str) and tag in classes:
            return classes.index(tag)
        if isinstance(tag, int) and 0 <= tag < len(classes):
            return tag
        raise InputError(f"tag {tag!r}: not a class of this predictor; known: {', '.join(classes)}")

    @property
    def _classifier(self) -> TagClassifier | LocalClassifier:
        if self.classifier is None:
            raise ValueError("this MaskPredictor was made without classifier; pass one")
        return self.classifier

    @property
    def _affinity_net(self) -> PairNetwork:
        if self.affinity_net is None:
            raise ValueError("this MaskPredictor was made without affinity_net; pass one")
        return self.affinity_net

    @torch.inference_mode()
    def cams(self, image: np.ndarray, classes: Sequence[int]) -> ScoreMaps:
        """Return multi-scale maps float32 [K, H, W] in [0, 1] (docs/method.md, "Class activation maps")."""
        height, width = image.shape[:2]
        if not len(classes):
            return ScoreMaps((), torch.zeros(0, height, width, device=self.device))
        classifier = self._classifier
        if isinstance(classifier, LocalClassifier):
            return ScoreMaps(tuple(classes), self._local(image, classifier, classes))
        maps = []
        for scale in self.config.cams.scales:
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            x = self._input(resize(image, size), classifier)
            with autocast(self.device, self.config.cams.precision):
                maps.append(classifier.activation_maps(torch.cat([x, x.flip(-1)]), classes))
        config = self.config.cams
        fused = class_activation_maps(maps, (height, width), config.multiple)
        if config.grid is None:
            return ScoreMaps(tuple(classes), fused)
        coarse = class_activation_maps(maps, (-(-height // config.grid), -(-width // config.grid)))
        return ScoreMaps(tuple(classes), fused, coarse)

    def _local(self, image: np.ndarray, classifier: LocalClassifier, classes: Sequence[int]) -> Tensor:
        """Return how probable classes are in each pixel, float32 [K, H, W], from the image and its mirror image."""
        plain, mirrored = (
            classifier.place_probabilities(see_places(classifier, view, self.device, self.config.cams.precision))
            for view in (image, image[:, ::-1])
        )
        both = (plain + mirrored.flip(-1))[:, list(classes)] / 2
        return F.interpolate(both, image.shape[:2], mode="bilinear", align_corners=False)[0].clamp(0, 1)

    @torch.inference_mode()
    def walk(self, image: np.ndarray, cams: ScoreMaps) -> Walk:
        """Spread an image's class activation maps [K, H, W] along its affinities (docs/method.md, "Random walk")."""
        walk, network = self.config.walk, self._affinity_net
        stride = network.stride
        maps = (cams.scores if cams.grid is None else cams.grid).to(self.device)
        background = torch.stack([background_score(maps, alpha) for alpha in walk.alphas])
        scores = torch.cat([background, maps.to(background)])
        if cams.grid is None:
            scores = on_grid(scores, stride)
        if len(maps):
            links = find_links(network, self._input(image, network), self.config)
            scores = links.walk(scores, walk.beta, walk.steps)
        scores = scores.clamp(0, 1)  # rounding may leave them by a bit
        count = len(walk.alphas)
        return Walk(cams.classes, walk.alphas, scores[:count], scores[count:], stride)

    def _input(self, image: np.ndarray, network: TagClassifier | PairNetwork) -> Tensor:
        backbone = network.backbone
        x = normalise(to_tensor(image), backbone.mean, backbone.std)[None]
        return x.to(self.device, memory_format=backbone.layout(self.device))


def _placed(x: int, y: int, label: int | None, image: np.ndarray, small: np.ndarray) -> Click:
    """Return a click in the image as it is labelled.

    Raises:
        InputError: it is outside the image.
    """
    height, width = image.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"click ({x}, {y}): is not inside the image of {width} x {height} pixels")
    return Click(x * small.shape[1] // width, y * small.shape[0] // height, label)


@torch.inference_mode()
def see_places(
    classifier: LocalClassifier, image: np.ndarray, device: torch.device, precision: PrecisionChoice = "float32"
) -> Tensor:
    """Return the features float32 [1, D, h, w] of the places of an image uint8 [H, W, 3]."""
    backbone = classifier.backbone
    x = normalise(to_tensor(resize(image, seen_size(image.shape))), backbone.mean, backbone.std)[None]
    with autocast(device, precision):
        return classifier.features(x.to(device, memory_format=backbone.layout(device)))
