"""The head of a local classifier: it finds what the tags mean, be it small or large, and nothing that comes with it."""

import numpy as np
import pytest
import torch

from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.local_classifier import LocalClassifier
from affinitynet.training import places
from affinitynet.training.places import Places, train_places

SIDE = 16


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(places, "STARTS", 3)
    monkeypatch.setattr(places, "STEPS", 120)


def drawn(model, count, radius, seed):
    """Return places of noise in which an image with the tag has a square of its own direction, and where it lies."""
    generator = torch.Generator().manual_seed(seed)
    depth = len(model.mean)
    direction = torch.randn(depth, generator=torch.Generator().manual_seed(99))
    features, where, tags = [], [], []
    for number in range(count):
        image, mask = torch.randn(depth, SIDE, SIDE, generator=generator), torch.zeros(SIDE, SIDE, dtype=torch.bool)
        if number % 2:
            y, x = torch.randint(0, SIDE - radius + 1, (2,), generator=generator).tolist()
            mask[y : y + radius, x : x + radius] = True
            image += 2 * direction[:, None, None] * mask
        features.append(image.half())
        where.append(mask)
        tags.append([float(number % 2)])
    return Places(features, torch.tensor(tags)), where


def step_at_outlines(model, drawn_places):
    """Return how much larger the features' steps are where the outlines of what is seen lie."""
    found = []
    for features, tag in zip(drawn_places.features, drawn_places.tags, strict=True):
        if tag[0]:
            seen = model.place_probabilities(features[None])[0, 0] > 0.5
            steps, ends = features.float().diff(dim=2).square().sum(0), seen[:, 1:] != seen[:, :-1]
            found += [float(steps[ends].mean() / steps.mean())] if ends.any() else []
    return sum(found) / len(found) if found else 1.0


@pytest.mark.parametrize("radius", [2, 9])
def test_an_object_is_found_by_its_tags_whatever_its_size(radius):
    model = LocalClassifier(build_backbone("lite"), ["a"])
    training, _ = drawn(model, 60, radius, seed=0)
    held_out, where = drawn(model, 30, radius, seed=1)
    precision = train_places(model, [(training, held_out)], seed=0, contrast=lambda: step_at_outlines(model, training))
    assert precision[0] > 0.95
    hits = union = 0
    for features, mask, tag in zip(held_out.features, where, held_out.tags, strict=True):
        if tag[0]:
            with torch.inference_mode():
                found = model.place_probabilities(features[None])[0, 0] > 0.5
            hits, union = hits + int((found & mask).sum()), union + int((found | mask).sum())
    assert hits / union > 0.6


def test_tags_that_mean_nothing_are_found_out():
    model = LocalClassifier(build_backbone("lite"), ["a"])
    training, _ = drawn(model, 40, 3, seed=0)
    held_out, _ = drawn(model, 40, 3, seed=1)
    draw = np.random.default_rng(0)
    drawn_tags = torch.from_numpy(draw.integers(0, 2, (80, 1))).float()
    nonsense = (Places(training.features, drawn_tags[:40]), Places(held_out.features, drawn_tags[40:]))
    assert train_places(model, [nonsense], seed=0)[0] < 0.85


def test_the_same_seed_gives_the_same_head_and_leaves_the_callers_random_numbers_alone():
    found = []
    for _ in range(2):
        model = LocalClassifier(build_backbone("lite"), ["a"])
        training, _ = drawn(model, 12, 3, seed=0)
        torch.manual_seed(5)
        train_places(model, [(training, training)], seed=3)
        found.append((model.places.weight.clone(), torch.rand(3)))
    torch.manual_seed(5)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], torch.rand(3))


def test_a_class_that_no_held_out_image_has_is_learnt_all_the_same():
    model = LocalClassifier(build_backbone("lite"), ["a", "nobody's"])
    training, _ = drawn(model, 12, 3, seed=0)
    both = Places(training.features, torch.cat([training.tags, torch.zeros(12, 1)], 1))
    without = Places(both.features[::2], both.tags[::2])
    precision = train_places(model, [(both, without)], seed=0)
    assert np.isnan(precision).all()
    assert model.places.weight.isfinite().all()


def test_where_nothing_is_held_out_the_images_learnt_from_choose_the_start_but_measure_nothing():
    model = LocalClassifier(build_backbone("lite"), ["a"])
    training, _ = drawn(model, 12, 3, seed=0)
    assert train_places(model, [(training, training)], seed=0).shape == (1,)
    head = model.places.weight.clone()
    nothing = training.only(np.zeros(12, bool))
    assert np.isnan(train_places(model, [(training, nothing)], seed=0)).all()
    assert torch.equal(head, model.places.weight)


def test_many_classes_have_fewer_starts_and_are_learnt(monkeypatch):
    monkeypatch.setattr(places, "STEPS", 2)
    model = LocalClassifier(build_backbone("lite"), [f"c{n}" for n in range(150)])
    training, _ = drawn(model, 6, 3, seed=0)
    many = Places(training.features, training.tags.repeat(1, 150))
    assert train_places(model, [(many, many)], seed=0).shape == (150,)
    assert places._train(model, many, 0, lambda _: None)[0].shape[:3] == (4, 2, 150)


def test_images_of_different_sizes_are_learnt_together():
    model = LocalClassifier(build_backbone("lite"), ["a"])
    training, _ = drawn(model, 12, 3, seed=0)
    training.features[0] = training.features[0][:, :, :9]
    assert train_places(model, [(training, training)], seed=0).shape == (1,)


def test_of_sharpnesses_that_are_alike_the_softest_is_taken(monkeypatch):
    """Which differ by chance only: the first head is trained on the first part whatever the others are."""
    model = LocalClassifier(build_backbone("lite"), ["a"])
    parts = [(drawn(model, 12, 3, seed)[0], drawn(model, 12, 3, seed + 1)[0]) for seed in (0, 2, 4)]
    contrasts = iter([1.0, 1.0, 1.0, 9e9] * 4)
    train_places(model, parts, seed=0, contrast=lambda: next(contrasts))
    assert model.settings["sharpness"] == places.SHARPNESS[-1]
    sharp = model.places.weight.clone()
    train_places(model, parts[:1], seed=0, contrast=lambda: next(contrasts))
    assert torch.equal(sharp, model.places.weight)
    monkeypatch.setattr(places, "ALIKE", 1e9)
    precision = train_places(model, parts, seed=0)
    assert model.settings["sharpness"] == places.SHARPNESS[0]
    assert precision.shape == (1,)
