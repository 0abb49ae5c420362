"""Training of a local classifier: many starts at once, of which the tags of held-out images choose.

A multiple-instance classifier may settle on something that merely comes with the object. Whether a start did shows in
images it has not seen. Its head is linear, so that all starts are trained in one pass over the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.models.local_classifier import LocalClassifier, pooled
from affinitynet.ops.metrics import average_precision
from affinitynet.training.samples import mixed_seed

SHARPNESS = (0.1, 0.3, 1.0, 2.0)
"""Of the pooling: a collection's objects decide which is best."""

STARTS = 12
"""Of each sharpness; a third of them may be all that find a small object."""

OUTPUTS = 240
"""Starts x classes of each sharpness at most, so that many classes do not fill the memory; but two starts at least."""

STEPS, BATCH = 600, 8
LEARNING_RATE, WEIGHT_DECAY = 1e-2, 1e-2
FIRST_WEIGHTS = 3.0
"""Bound of the first weights, by the root of their number: large, so that the starts differ."""

FIRST_BIAS = -2.0  # most places of most images show no class
DRAWN = 2
"""Drawn images that are learnt from in each step, where there are any."""

DROPPED = 0.1  # share of the features in training
CLOSE = 1.1
"""Loss on the held-out images, as a factor of the best start's, up to which a start counts."""

CONTRAST = 0.4
"""Weight of the contrast at the outlines beside that of the held-out tags, both as logarithms; 0.13 to 0.75 chose
the best maps of the three collections it was measured on."""

ALIKE = 0.03
"""Difference of that sum which tells nothing: on photographs of animals all of them are within it, by chance."""

LEAST = 1e-3  # loss, so that none is infinitely better than another

EVERY = 7
"""Places apart whose features are measured for their mean and deviation."""


@dataclass(frozen=True)
class Places:
    """The places of some images, and the images' tags.

    Args:
        features: of each image float16 [D, h, w], as :meth:`LocalClassifier.features` gives them, or coarser.
        tags: float32 [N, C], 0 or 1.
        drawn: number of an image -> what somebody drew of it: the share of each class in each place, float32
            [C, h, w], NaN where nothing is said.
    """

    features: Sequence[Tensor]
    tags: Tensor
    drawn: Mapping[int, Tensor] = field(default_factory=dict)

    def only(self, chosen: np.ndarray) -> Places:
        """Return the images that a bool [N] chooses."""
        numbers = np.flatnonzero(chosen).tolist()
        drawn = {new: self.drawn[old] for new, old in enumerate(numbers) if old in self.drawn}
        return Places([self.features[number] for number in numbers], self.tags[numbers], drawn)


@dataclass(frozen=True)
class _Trained:
    """All starts, trained on one part of the images and judged on the rest.

    Args:
        weight, bias: float32 [sharpness, start, C, D] and [sharpness, start, C].
        losses: of the judged images, float32 [sharpness, start, C].
        quality: of each sharpness.
    """

    weight: Tensor
    bias: Tensor
    losses: Tensor
    quality: tuple[float, ...]


def train_places(
    model: LocalClassifier,
    parts: Sequence[tuple[Places, Places]],
    seed: int,
    contrast: Callable[[], float] = lambda: 1.0,
    advance: Callable[[str], None] = lambda _: None,
) -> np.ndarray:
    """Train the head of a local classifier in place, on the first part.

    Of each class the starts that are nearly as good as the best on the held-out images are averaged. The sharpness is
    chosen by the loss of the best starts there, mean over the classes, and by how well the outlines of what is seen
    follow the image, mean over the parts: tags alone say little of how much of an object is seen. Of those that are
    about as good it is the softest, which sees the most of an object.

    Args:
        model: whose features they are.
        parts: images to learn from, and held-out images whose tags choose between the starts (where none is held out,
            those learnt from do); more than one way to part them makes the choice of the sharpness surer.
        seed: of the starts.
        contrast: of the model as it is by then, above 0.
        advance: called after each of the :data:`STEPS` steps of each part.

    Returns:
        float [C], the average precision of the first part's held-out tags; NaN for a class that none of them has.
    """
    trained = [
        _trained(model, training, held_out, seed + number, contrast, advance)
        for number, (training, held_out) in reversed(list(enumerate(parts)))
    ]
    quality = np.mean([found.quality for found in trained], 0)
    first, held_out = trained[-1], parts[0][1]
    _set_head(model, int(np.flatnonzero(quality >= quality.max() - ALIKE)[0]), first)
    if not held_out.features:
        return np.full(len(model.classes), np.nan)
    with torch.inference_mode():
        logits = torch.cat([model.image_logits(features[None]) for features in held_out.features])
    return average_precision(logits.cpu().numpy(), held_out.tags.cpu().numpy() > 0)


def _trained(
    model: LocalClassifier,
    training: Places,
    held_out: Places,
    seed: int,
    contrast: Callable[[], float],
    advance: Callable[[str], None],
) -> _Trained:
    """Train all starts, and judge each sharpness; the model is left with the last one's head."""
    model.mean, model.deviation = _statistics(training.features)
    weight, bias = _train(model, training, seed, advance)
    losses, known = _losses(model, weight, bias, held_out), held_out.tags.any(0)
    if not known.all():  # a class that no held-out image has is judged by what was learnt from
        losses[..., ~known] = _losses(model, weight, bias, training)[..., ~known]
    judges = known if known.any() else training.tags.any(0)
    found, quality = _Trained(weight, bias, losses, ()), []
    for row, lost in enumerate(losses[..., judges].min(1).values.mean(1).tolist()):
        _set_head(model, row, found)
        quality.append(CONTRAST * math.log(contrast()) - math.log(lost + LEAST))
    return replace(found, quality=tuple(quality))


@torch.no_grad()
def _set_head(model: LocalClassifier, row: int, trained: _Trained) -> None:
    """Give a model the mean of the best starts of a sharpness, class by class."""
    weight, bias, losses = trained.weight, trained.bias, trained.losses
    model.settings["sharpness"] = SHARPNESS[row]
    for number in range(len(model.classes)):
        found = losses[row, :, number]
        close = found <= CLOSE * found.min()
        model.places.weight[number] = weight[row, close, number].mean(0)[:, None, None]
        model.places.bias[number] = bias[row, close, number].mean()  # type: ignore[index]
    model.eval()


def _statistics(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation float32 [D] of the places."""
    total = square = torch.zeros(len(features[0]), dtype=torch.float64, device=features[0].device)
    count = 0
    for image in features:
        places = image.flatten(1)[:, ::EVERY].double()
        total, square, count = total + places.sum(1), square + places.square().sum(1), count + places.shape[1]
    mean = total / count
    return mean.float(), ((square / count - mean.square()).clamp(min=0).sqrt() + 1e-4).float()


def _train(model: LocalClassifier, places: Places, seed: int, advance: Callable[[str], None]) -> tuple[Tensor, Tensor]:
    """Train all starts by AdamW with a cosine schedule; a part of the features is dropped at random.

    Returns:
        Weights [sharpness, start, C, D] and biases [sharpness, start, C].
    """
    starts = min(STARTS, max(2, OUTPUTS // len(model.classes)))
    shape, depth = (len(SHARPNESS), starts, len(model.classes)), len(model.mean)
    generator = torch.Generator().manual_seed(mixed_seed(seed))
    device = places.tags.device
    first = (2 * torch.rand(*shape, depth, generator=generator) - 1) * FIRST_WEIGHTS / depth**0.5
    weight = first.to(device).requires_grad_()
    bias = torch.full(shape, FIRST_BIAS, device=device, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    order: list[int] = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        if len(order) < min(BATCH, len(places.features)):
            order = torch.randperm(len(places.features), generator=generator).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        loss = torch.zeros(())
        for alike in _alike(places, chosen):
            features = model.standardised(torch.stack([places.features[number] for number in alike]))
            kept = (torch.rand(len(alike), depth, 1, 1, generator=generator) >= DROPPED).to(device)
            logits = _image_logits(features * kept / (1 - DROPPED), weight, bias)
            loss = loss + _cross_entropy(logits, places.tags[alike]).sum()
        loss = loss / (len(chosen) * shape[-1])
        if places.drawn:
            loss = loss + _drawn_loss(model, weight, bias, places, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        advance(f"loss {loss.item() / (shape[0] * shape[1]):.4f}")
    return weight.detach(), bias.detach()


def _drawn_loss(
    model: LocalClassifier, weight: Tensor, bias: Tensor, places: Places, generator: torch.Generator
) -> Tensor:
    """Return how badly the places of some drawn images are known, mean over the classes, of all starts.

    The sum over N places of which a class covers M is divided by the root of N M, between the mean over all places,
    to which a small object adds nothing, and that over its own; by N where the class is absent.
    """
    loss, numbers = torch.zeros(()), sorted(places.drawn)
    for chosen in torch.randperm(len(numbers), generator=generator)[:DRAWN].tolist():
        shares = places.drawn[numbers[chosen]].flatten(1)
        features = model.standardised(places.features[numbers[chosen]][None])
        logits = _place_logits(features, weight, bias)[0]
        known = shares.isfinite()
        targets = shares.nan_to_num()
        each = F.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none") * known
        covered, count = targets.sum(-1), known.sum(-1).clamp(min=1)
        divisor = torch.where(covered > 0, (covered * count).sqrt().clamp(min=1), count)
        loss = loss + (each.sum(-1) / divisor).mean(-1).sum()
    return loss / min(DRAWN, len(numbers))


def _alike(places: Places, chosen: Sequence[int]) -> list[list[int]]:
    """Group images of one size, which are computed together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number in chosen:
        groups.setdefault(tuple(places.features[number].shape), []).append(number)
    return list(groups.values())


def _image_logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits [B, sharpness, start, C] of images whose standardised features are [B, D, h, w]."""
    return pooled(_place_logits(features, weight, bias), weight.new_tensor(SHARPNESS)[:, None, None, None])


def _place_logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits [B, sharpness, start, C, P] of the P places of images."""
    return torch.einsum("ksco,bop->bkscp", weight, features.flatten(2)) + bias[..., None]


def _cross_entropy(logits: Tensor, tags: Tensor) -> Tensor:
    """Return the binary cross entropy of each start, like ``logits`` [B, sharpness, start, C], with tags [B, C]."""
    return F.binary_cross_entropy_with_logits(logits, tags[:, None, None].expand_as(logits), reduction="none")


@torch.no_grad()
def _losses(model: LocalClassifier, weight: Tensor, bias: Tensor, places: Places) -> Tensor:
    """Return the mean loss of each start [sharpness, start, C]; NaN of no images."""
    total = weight.new_zeros(weight.shape[:3])
    for features, tags in zip(places.features, places.tags, strict=True):
        logits = _image_logits(model.standardised(features[None]), weight, bias)
        total += _cross_entropy(logits, tags[None])[0]
    return total / len(places.features)
