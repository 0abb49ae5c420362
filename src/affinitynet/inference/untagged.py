"""Labelling images without tags, by the segmentation network. With tags, see :mod:`affinitynet.inference.tagged`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affinitynet.config.adaptation import adapted, scaled_crf
from affinitynet.config.config_file import read_config
from affinitynet.config.settings import CRFParams, PipelineConfig, PredictConfig
from affinitynet.data.images import load_image
from affinitynet.data.transforms import normalise, reduced, resize, to_tensor
from affinitynet.errors import InputError
from affinitynet.inference.strips import View, strips
from affinitynet.models.segmenter import CRF, LABELLED_AT, Segmenter
from affinitynet.ops.crf import dense_crf
from affinitynet.ops.decision import labels_at, labels_of
from affinitynet.records import VALUES, ValueRanges
from affinitynet.runtime.precision import autocast
from affinitynet.work.folder import WorkFolder

LEAST = 1e-6  # probability, so that a pixel of none of the tagged classes has one

SEEN = 0.05
"""Highest probability in an image below which a class takes no part in the dense CRF: it would win no pixel there."""


class SegmentationPredictor:
    """Turns an image into a mask; needs no tags.

    Args:
        model: the segmentation network; how wide its CRF's kernels are is among its settings.
        config: scales, the longest side and whether the CRF follows.
        device: where to compute.

    Example:
        >>> predictor = SegmentationPredictor(Segmenter("LargeFOV", "lite", ["cat", "dog"]))
        >>> predictor.predict(np.zeros((40, 60, 3), np.uint8)).shape
        (40, 60)
    """

    def __init__(
        self,
        model: Segmenter,
        config: PredictConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.config = config or PredictConfig()
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()

    @classmethod
    def load(cls, source: Path | str, device: torch.device | str = "cpu") -> SegmentationPredictor:
        """Read the network of a work folder, with the folder's settings, or of a safetensors file.

        Raises:
            InputError: there is no segmentation network.
        """
        weights, config = weights_file(source), PipelineConfig()
        if Path(source).is_dir():
            folder = WorkFolder(Path(source))
            config = adapted(read_config(folder.config_file, config), folder.plan())
        return cls(Segmenter.load(weights), config.predict, device)

    @property
    def values(self) -> ValueRanges | None:
        """How images of more than 8 bits were read in training, ``None`` if there were none."""
        return ValueRanges.from_settings(self.model.settings.get(VALUES))

    def read(self, path: Path | str) -> np.ndarray:
        """Read an image file as uint8 [H, W, 3], deep values as in the collection that the network was trained on.

        Raises:
            InputError: as :func:`affinitynet.data.images.load_image`.
        """
        return load_image(Path(path), self.values)

    @torch.inference_mode()
    def predict(self, image: np.ndarray) -> np.ndarray:
        """Return the mask uint8 [H, W] of an image uint8 [H, W, 3]: 0 background, class + 1.

        It is the argmax of :meth:`scores`, enlarged to the image's size, but takes hardly more memory for many classes
        than for few.

        Raises:
            InputError: the image is not uint8 [H, W, 3].
        """
        small = self._reduced(image)
        if self.config.crf:
            labels, scores = self._seen(small, self._crf_in(image))
            return labels.cpu().numpy().astype(np.uint8)[labels_at(scores, image.shape[:2])]
        with autocast(self.device, self.config.precision):
            views = self._views(small)
            return labels_of(strips(views, (small.shape[0], small.shape[1])), len(small), image.shape[:2])

    @torch.inference_mode()
    def scores(self, image: np.ndarray) -> Tensor:
        """Return probabilities float32 [C + 1, h, w], background first, at the size the image is labelled at.

        That is the image's own unless its long side exceeds ``longest_side``.

        Args:
            image: uint8 [H, W, 3].

        Raises:
            InputError: the image is not uint8 [H, W, 3].
        """
        small = self._reduced(image)
        if not self.config.crf:
            return self._probabilities(small)
        labels, found = self._seen(small, self._crf_in(image))
        scores = torch.zeros(len(self.model.classes) + 1, *found.shape[1:], device=self.device)
        scores[labels] = found
        return scores

    def _seen(self, small: np.ndarray, crf: CRFParams) -> tuple[Tensor, Tensor]:
        """Return the labels int64 [L] that an image may show, background first, and what the CRF makes of them,
        float32 [L, h, w]."""
        with autocast(self.device, self.config.precision):
            views = self._views(small)
            strongest = torch.stack([view.strongest() for view in views]).amax(0)
        strongest[0] = 1.0
        labels = (strongest >= SEEN).nonzero()[:, 0]
        scores = self._gathered(views, small, labels)
        return labels, dense_crf(self._pixels(small), scores, crf)

    @property
    def crf(self) -> CRFParams:
        """Parameters of the CRF that follows, for images of the size that it was fitted at.

        Raises:
            InputError: the network's file has others.
        """
        try:
            return CRFParams(**self.model.settings.get(CRF, {}))
        except TypeError as error:
            raise InputError(f"segmentation network: its settings of the CRF are not ours ({error})") from None

    def _crf_in(self, image: np.ndarray) -> CRFParams:
        """Return the parameters of the CRF at the size that an image is labelled at here.

        Raises:
            InputError: the network's file has others.
        """
        side, fitted_at = max(image.shape[:2]), self.model.settings.get(LABELLED_AT, self.config.longest_side)
        if fitted_at is not None and not (isinstance(fitted_at, int) and fitted_at > 0):
            raise InputError(f"segmentation network: its {LABELLED_AT} is not a number of pixels ({fitted_at!r})")
        factor = min(side, self.config.longest_side or side) / min(side, fitted_at or side)
        return self.crf if factor == 1 else scaled_crf(self.crf, factor)

    def _pixels(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(image.copy()).to(self.device)

    def _probabilities(self, small: np.ndarray) -> Tensor:
        """Return the probabilities float32 [C + 1, h, w] of the network alone."""
        with autocast(self.device, self.config.precision):
            views = self._views(small)
        return self._gathered(views, small, torch.arange(len(self.model.classes) + 1, device=self.device))

    def _gathered(self, views: Sequence[View], image: np.ndarray, labels: Tensor) -> Tensor:
        """Return the mean probabilities of some labels [L] over all views of an image, float32 [L, h, w]."""
        size = image.shape[0], image.shape[1]
        scores = torch.empty(len(labels), *size, device=self.device)
        done = 0
        with autocast(self.device, self.config.precision):
            for strip in strips(views, size):
                scores[:, done : done + strip.shape[1]] = strip[labels]
                done += strip.shape[1]
        return scores

    @torch.inference_mode()
    def tagged_scores(self, image: np.ndarray, tags: Sequence[int], crf: bool = False) -> Tensor:
        """Return the probabilities of background and of the tagged classes, where the others are known to be absent.

        Args:
            image: uint8 [H, W, 3], at the size that images with tags are labelled at.
            tags: 0-based class numbers, ascending.
            crf: whether the dense CRF follows, with the widths that the network's seeds were made with.

        Returns:
            float32 [K + 1, H, W], background first.

        Raises:
            InputError: as :meth:`scores`.
        """
        _check(image)
        if not tags:
            return torch.ones(1, *image.shape[:2], device=self.device)
        with autocast(self.device, self.config.precision):
            views = self._views(image, tags_known=True)
        labels = torch.tensor([0, *(tag + 1 for tag in tags)], device=self.device)
        scores = self._gathered(views, image, labels).clamp(min=LEAST)
        scores = scores / scores.sum(0)
        return dense_crf(self._pixels(image), scores, self.crf) if crf else scores

    def _reduced(self, image: np.ndarray) -> np.ndarray:
        """Return a checked image at the size it is labelled at."""
        _check(image)
        return reduced(image, self.config.longest_side)

    def _views(self, image: np.ndarray, tags_known: bool = False) -> list[View]:
        """Return an image as the network sees it, at every scale."""
        size = image.shape[0], image.shape[1]
        learnt_at = self.model.long_side
        fit = 1.0 if learnt_at is None else learnt_at / max(size)
        return [
            self._view(image, _scaled(size, scale * fit), mirrored, tags_known)
            for scale, mirrored in views_of(self.config)
        ]

    def _view(self, image: np.ndarray, size: tuple[int, int], mirrored: tuple[bool, ...], tags_known: bool) -> View:
        x = normalise(to_tensor(resize(image, size)), self.model.mean, self.model.std)[None].to(self.device)
        x = torch.cat([x.flip(-1) if flipped else x for flipped in mirrored])
        x = x.contiguous(memory_format=torch.channels_last)
        return View(self.model, self.model.coarse(x, tags_known), size, mirrored)


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image: expected uint8 [H, W, 3] RGB, got {image.dtype} {list(image.shape)}")


def weights_file(source: Path | str) -> Path:
    """Return the weights of a work folder's segmentation network, or ``source`` if it is no folder.

    Raises:
        InputError: the work folder has none.
    """
    if not Path(source).is_dir():
        return Path(source)
    path = WorkFolder(Path(source)).weights("segmenter")
    if not path.exists():
        raise InputError(f"{source}: has no segmenter.safetensors; run `affinitynet train-segmenter` first")
    return path


def views_of(config: PredictConfig) -> list[tuple[float, tuple[bool, ...]]]:
    """Return the scales at which an image is seen and, of each time, whether mirrored.

    Example:
        >>> views_of(PredictConfig(scales=(0.5, 1.0)))
        [(0.5, (False,)), (1.0, (True,))]
        >>> views_of(PredictConfig(scales=(1.0,), mirror="each"))
        [(1.0, (False, True))]
    """
    if config.mirror == "each":
        return [(scale, (False, True)) for scale in config.scales]
    return [(scale, (number % 2 == 1,)) for number, scale in enumerate(config.scales)]


def _scaled(size: tuple[int, ...], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
