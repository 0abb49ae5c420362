"""A mask follows clicks: where they were made for certain, and as far as what belongs together reaches."""

import numpy as np
import pytest
import torch

from affinitynet.config.settings import CRFParams
from affinitynet.errors import InputError
from affinitynet.inference import clicks
from affinitynet.inference.clicks import NEAR, Click, ClickedMask, PairsSeen, corrected
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.irnet import IRNet
from affinitynet.ops.geodesic import grid_graph, influence


@pytest.fixture
def scene():
    """A dark left and a bright right half, of which nothing is known."""
    image = np.full((64, 96, 3), 40, np.uint8)
    image[:, 48:] = 210
    return image, torch.full((3, 64, 96), 1 / 3)


def test_what_a_click_says_reaches_to_the_edge_and_no_further(scene):
    image, scores = scene
    mask = ClickedMask(image, scores, (2, 5), None, CRFParams()).mask([Click(20, 30, 2), Click(80, 30, 5)])
    assert (mask[:, :46] == 3).all()
    assert (mask[:, 50:] == 6).all()


def test_a_click_contradicts_what_was_found_in_its_region_only(scene):
    image, scores = scene
    scores = scores.clone()
    scores[0], scores[1], scores[2] = 0.05, 0.9, 0.05
    mask = ClickedMask(image, scores, (2, 5), None, CRFParams()).mask([Click(70, 30, None)])
    assert (mask[:, 50:] == 0).mean() > 0.95
    assert (mask[:, :46] == 3).all()


def test_the_pixel_itself_is_certain(scene):
    image, scores = scene
    for label, value in ((None, 0), (2, 3), (5, 6)):
        clicked = ClickedMask(image, scores, (2, 5), None, CRFParams())
        around = [Click(x, 30, 5 if label != 5 else 2) for x in (16, 18, 22, 24)]
        assert clicked.mask([*around, Click(20, 30, label)])[30, 20] == value


def test_no_click_leaves_what_was_found(scene):
    image, scores = scene
    scores = scores.clone()
    scores[1, :, 48:] = 0.9
    mask = ClickedMask(image, scores, (2, 5), None, CRFParams()).mask([])
    assert (mask[:, 50:] == 3).all()


def test_learnt_features_hold_a_click_where_colours_do_not():
    image, scores = np.full((64, 96, 3), 90, np.uint8), torch.full((2, 64, 96), 0.5)
    features = torch.zeros(4, 8, 12)
    features[:, :, 6:] = 40
    boundaries = torch.zeros(16, 24)
    boundaries[:, 12] = 0.9999
    left = [Click(20, 30, 0), Click(90, 5, None)]
    free = ClickedMask(image, scores, (0,), None, CRFParams()).scores(left)[1]
    for seen in (PairsSeen(features=features), PairsSeen(boundaries=boundaries)):
        held = ClickedMask(image, scores, (0,), seen, CRFParams()).scores(left)[1]
        assert held[32, 60] < free[32, 60] - 0.1
        assert held[32, 30] > 0.5


@pytest.mark.parametrize("click", [Click(96, 0, 2), Click(0, -1, 2), Click(0, 0, 3)])
def test_clicks_that_cannot_be_are_refused(scene, click):
    image, scores = scene
    with pytest.raises(ValueError, match=r"is not inside|does not have"):
        ClickedMask(image, scores, (2, 5), None, CRFParams()).mask([click])


def test_geodesic_distances_are_those_of_a_plain_search():
    features = np.random.default_rng(0).random((3, 5, 6))
    graph = grid_graph(features, [1.0, 2.0, 0.5], 0.1)
    best = np.full(30, np.inf)
    best[7] = 0
    weights = np.array([1.0, 2.0, 0.5])
    for _ in range(30):  # Bellman and Ford's
        for place in range(30):
            y, x = divmod(place, 6)
            for dy, dx in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]:
                if 0 <= y + dy < 5 and 0 <= x + dx < 6:
                    differs = (weights * np.abs(features[:, y, x] - features[:, y + dy, x + dx])).sum()
                    cost = (differs + 0.1) * np.hypot(dy, dx)
                    best[place] = min(best[place], best[6 * (y + dy) + x + dx] + cost)
    np.testing.assert_allclose(influence(graph, 7), np.exp(-best), rtol=1e-9)


@pytest.mark.parametrize("network", [AffinityNet, IRNet, None])
def test_a_predictor_takes_clicks_in_pixels_of_the_image(network):
    backbone = build_backbone("lite")
    pairs = None if network is None else network(build_backbone("lite"))
    predictor = MaskPredictor(TagClassifier(backbone, ["cat", "dog", "owl"]), pairs)
    if network is None:
        predictor.config = predictor.config.__class__(
            **{**vars(predictor.config), "masks": predictor.config.masks.__class__(source="crf")}
        )
    image = np.full((64, 96, 3), 40, np.uint8)
    image[:, 48:] = 210
    found = predictor.predict(image, ["dog"], clicks=[(20, 30, "cat"), (80, 30, None)])
    assert found.classes.tolist() == [0, 1]
    assert found.mask[30, 20] == 1
    assert found.mask[30, 80] == 0
    with pytest.raises(InputError, match="not inside the image of 96 x 64"):
        predictor.predict(image, ["dog"], clicks=[(96, 30, "cat")])
    with pytest.raises(InputError, match="not a class"):
        predictor.predict(image, ["dog"], clicks=[(9, 30, "cow")])


def test_clicks_in_an_image_that_is_labelled_at_reduced_size():
    predictor = MaskPredictor(TagClassifier(build_backbone("lite"), ["cat"]), AffinityNet(build_backbone("lite")))
    predictor.config = predictor.config.__class__(**{**vars(predictor.config), "longest_side": 96})
    image = np.full((160, 240, 3), 40, np.uint8)
    image[:, 120:] = 210
    found = predictor.predict(image, ["cat"], clicks=[(60, 80, "cat"), (200, 80, None)])
    assert found.mask.shape == (160, 240)
    assert found.mask[80, 60] == 1
    assert found.mask[80, 200] == 0


def test_a_click_is_searched_from_once(scene, monkeypatch):
    searched: list[int] = []

    def counted(graph, place):
        searched.append(place)
        return influence(graph, place)

    monkeypatch.setattr(clicks, "influence", counted)
    image, scores = scene
    clicked = ClickedMask(image, scores, (2, 5), None, CRFParams())
    first, second = Click(20, 30, 2), Click(80, 30, 5)
    mask = clicked.mask([first])
    clicked.mask([first, second])
    mask[:] = 9  # the caller's own
    assert (clicked.mask([first]) != 9).all()
    assert len(searched) == 2


class TestCorrected:
    """What a click changes of a mask that the networks would not have made: a square of another place and size."""

    @pytest.fixture
    def masks(self):
        mask, without, found = (np.zeros((40, 90), np.uint8) for _ in range(3))
        mask[10:30, 5:20] = 1
        without[10:30, 5:25] = 1
        found[10:30, 5:40] = 1
        return mask, without, found

    def test_no_sliver_stays_between_the_mask_and_what_changes(self, masks):
        mask, without, found = masks
        assert (np.where(found != without, found, mask)[15] != found[15]).any()  # there would be one
        assert (corrected(mask, without, found, np.zeros(mask.shape, bool)) == found).all()

    def test_what_is_far_away_or_elsewhere_stays(self, masks):
        mask, without, found = masks
        mask[:, 41 + NEAR :] = 2  # touches nothing that changes
        mask[32:, :] = 3  # near, but not connected
        made = corrected(mask, without, found, np.zeros(mask.shape, bool))
        assert (made[:, 41 + NEAR :][:32] == 2).all()
        assert (made[32:] == 3).all()
        mask[:, 5:20] = 0  # what is missing of the square is connected to what changes
        made = corrected(mask, without, found, np.zeros(mask.shape, bool))
        assert (made[15, 25 - NEAR : 40] == 1).all()
        assert (made[15, : 25 - NEAR] == 0).all()

    def test_what_was_painted_stays_unless_the_click_itself_changes_it(self, masks):
        mask, without, found = masks
        held = np.zeros(mask.shape, bool)
        held[18, 20:30] = True
        made = corrected(mask, without, found, held)
        assert (made[18, 20:25] == 0).all()
        assert (made[18, 25:40] == 1).all()
        assert (made[15, 5:40] == 1).all()

    def test_a_click_that_changes_nothing_leaves_all(self, masks):
        mask, without, _ = masks
        assert (corrected(mask, without, without, np.zeros(mask.shape, bool)) == mask).all()
