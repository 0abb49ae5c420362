"""IRNet and its ResNet-50 give the numbers of the released code, weight for weight, from its own checkpoints."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from affinitynet.config.adaptation import adapted
from affinitynet.config.presets import PRESETS
from affinitynet.data.transforms import normalise, resize, to_tensor
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.inference.links import Links, find_links
from affinitynet.inference.refine import find_seeds, mask_scores
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.models.irnet import IRNet, _to_size
from affinitynet.ops.affinity import affinity_labels, affinity_loss, pair_labels
from affinitynet.ops.boundaries import boundary_affinity, displacement_loss
from affinitynet.ops.decision import decide
from affinitynet.ops.instances import centroids, clusters, detections, instance_seeds
from affinitynet.records import ScoreMaps
from affinitynet.tools.convert_weights import convert_weights
from tests.support.golden_weights import values
from tests.support.places import SHARED

CLASSES = [f"class {i}" for i in range(20)]
needs_golden = pytest.mark.skipif(not (SHARED / "golden" / "irn_small.npz").exists(), reason="needs the golden numbers")


@pytest.fixture(scope="module")
def golden():
    return np.load(SHARED / "golden" / "irn_small.npz")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The two files as the released code writes them: every tensor under several names, and path indices."""
    folder = tmp_path_factory.mktemp("irn")
    known = json.loads((SHARED / "golden" / "irn_keys.json").read_text())
    for part in ("cam", "irn"):
        state = {key: torch.from_numpy(values(key, tuple(shape))) for key, shape in known[part].items()}
        again = {further: state[first] for further, first in known[f"{part}_aliases"].items()}
        extra = {f"path_indices{i}": torch.zeros(3, 4, dtype=torch.int64) for i in range(2)} if part == "irn" else {}
        torch.save(state | again | extra, folder / f"{part}.pth")
    return folder


def relative(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())


@needs_golden
def test_the_classifier_is_the_original(checkpoints, golden):
    model = TagClassifier.load(checkpoints / "cam.pth", CLASSES)
    x = torch.from_numpy(golden["input"])[None]
    with torch.inference_mode():
        assert relative(model(x), golden["cam_logits"]) < 1e-5
        both = model.activation_maps(torch.cat([x, x.flip(-1)]), range(20))
        assert relative(both[0] + both[1].flip(-1), golden["cam_maps"]) < 1e-5


@needs_golden
def test_boundaries_and_displacements_are_the_original_ones(checkpoints, golden):
    net = IRNet.load(checkpoints / "irn.pth")
    x = normalise(to_tensor(golden["image"]), net.backbone.mean, net.backbone.std)[None]
    mean = net.mean_displacement[:, None, None]
    with torch.inference_mode():
        edge, displacement = net(x)
        assert relative(edge, golden["irn_edge_logit"][:, 0]) < 1e-5
        assert relative(displacement, golden["irn_displacement_training"]) < 1e-5
        assert relative(displacement - mean, golden["irn_displacement"]) < 1e-5
        assert torch.equal(net.boundary_logits(x), edge)
        odd_edge, odd_displacement = net(x[:, :, :90, :122])
        assert relative(odd_edge, golden["irn_odd_edge_logit"][:, 0]) < 1e-5
        assert relative(odd_displacement - mean, golden["irn_odd_displacement"]) < 1e-5


RELEASED = PRESETS["irn"]


@needs_golden
def test_activation_maps_of_both_sizes_are_the_original_ones(checkpoints, golden):
    predictor = MaskPredictor(TagClassifier.load(checkpoints / "cam.pth", CLASSES), None, RELEASED)
    found = predictor.cams(golden["image"], golden["cam_classes"].tolist())
    assert found.grid is not None
    assert relative(found.grid, golden["cam"]) < 1e-5
    assert relative(found.scores, golden["cam_high_res"]) < 1e-5


@needs_golden
def test_seeds_are_the_original_ones(golden):
    maps = ScoreMaps((0, 14), torch.from_numpy(golden["seed_cam"]))
    seeds = find_seeds(golden["image"], maps, adapted(RELEASED), torch.device("cpu"))
    assert (seeds.low.argmax(0).numpy() == golden["seed_fg_after"]).all()
    assert (seeds.high.argmax(0).numpy() == golden["seed_bg_after"]).all()
    labels = affinity_labels(seeds.low, seeds.high, foreground_first=True).numpy()
    values_of = np.full(256, 255)
    values_of[:3] = 0, 1, 15
    assert (values_of[labels] == golden["seed_label"]).all()


@needs_golden
def test_boundaries_and_masks_on_a_canvas_are_the_original_ones(checkpoints, golden):
    net = IRNet.load(checkpoints / "irn.pth")
    with torch.no_grad():
        net.edge.weight *= 2
        net.get_parameter("edge.bias").fill_(7)
    predictor = MaskPredictor(None, net, RELEASED)
    x = torch.from_numpy(golden["input"])[None]
    for view, name in ((x, "net_edge"), (x[:, :, :90, :122], "net_odd_edge")):
        with torch.inference_mode():
            links = find_links(net, view, predictor.config)
        assert links.weight is not None
        assert relative(1 - links.weight, golden[name][0]) < 1e-5
    maps = ScoreMaps((0, 14), torch.from_numpy(golden["seed_cam"]), torch.from_numpy(golden["net_cam"]))
    walk = predictor.walk(golden["image"], maps)
    assert relative(walk.scores, golden["net_sem_walk"]) < 1e-4
    scores = mask_scores(walk, (96, 128), predictor.config.masks, predictor.config.crf, lambda: golden["image"])
    assert (decide(scores, walk.classes) != golden["net_sem_label"]).sum() <= 3


@needs_golden
def test_objects_are_the_original_ones(golden):
    displacement, edge = (torch.from_numpy(golden[f"net_{name}"]) for name in ("displacement", "edge"))
    ends = centroids(displacement)
    assert (ends.numpy() == golden["net_centroids"]).all()
    numbers = clusters(displacement, ends)
    assert (numbers.numpy() == golden["net_clusters"]).all()
    seeds = instance_seeds(torch.from_numpy(golden["net_cam"]), numbers)
    links = Links(boundary_affinity(edge, 5, "full")[0], 1 - edge[0], 5, "full")
    walked = links.walk(seeds.flatten(0, 1), 10, 256)
    assert relative(walked, golden["net_ins_walk"]) < 1e-4
    large = F.interpolate(walked[None], scale_factor=4, mode="bilinear", align_corners=False)[0]
    found = detections((large / large.max()).view(*seeds.shape[:2], 96, 128), [0, 14], 0.25)
    assert (found.labels != golden["net_ins_label"]).sum() <= 3
    assert list(found.classes) == golden["net_ins_class"].tolist()
    np.testing.assert_allclose(found.scores, golden["net_ins_score"], atol=1e-4)


@needs_golden
def test_three_steps_of_training_are_the_original_ones(checkpoints, golden):
    net = IRNet.load(checkpoints / "irn.pth").train()
    groups = [{"params": group["params"], "lr": 0.1 * group["factor"]} for group in net.parameter_groups()]
    assert all(group["decays"] for group in net.parameter_groups())
    optimizer = torch.optim.SGD(groups, momentum=1e-4, weight_decay=1e-4)
    images = [normalise(to_tensor(image), net.backbone.mean, net.backbone.std) for image in golden["train_images"]]
    x = torch.stack(images)[:, :, :96, :96]
    kinds = pair_labels(torch.from_numpy(golden["train_reduced_labels"]).long(), 10)
    for step, (positive, negative, apart, moved) in enumerate(golden["train_losses"]):
        for group, factor in zip(optimizer.param_groups, (1, 10), strict=True):
            group["lr"] = 0.1 * factor * (1 - step / 3) ** 0.9
        edge, displacement = net(x)
        of_pairs = affinity_loss(boundary_affinity(edge.sigmoid(), 10), *kinds)
        of_places = displacement_loss(displacement, *kinds[:2], 10)
        assert of_pairs.item() == pytest.approx((positive + negative) / 2, rel=1e-4)
        assert of_places.item() == pytest.approx((apart + moved) / 2, rel=1e-4)
        optimizer.zero_grad()
        (of_pairs + of_places).backward()
        optimizer.step()
    for name, found in {
        "fc_edge1.0.weight": net.get_parameter("edges.0.0.weight"),
        "fc_edge1.1.weight": net.get_parameter("edges.0.1.weight"),
        "fc_edge6.weight": net.get_parameter("edge.weight"),
        "fc_edge6.bias": net.get_parameter("edge.bias"),
        "fc_dp7.3.weight": net.get_parameter("displacement.weight"),
    }.items():
        expected = golden[f"train_final_{name}"]
        # With a learning rate of 1 and gradients that are signs, rounding in float32 makes 1.2e-4 of the last one.
        assert relative(found.squeeze().view(expected.shape), expected) < 2e-4, name
    net.eval()
    with torch.inference_mode():
        mean = net(x)[1].mean((0, 2, 3))
    assert relative(mean, golden["train_mean_displacement"]) < 1e-3


@needs_golden
def test_two_steps_of_the_classifiers_training_are_the_original_ones(checkpoints, golden):
    model = TagClassifier.load(checkpoints / "cam.pth", CLASSES).train()
    groups = [{"params": group["params"], "lr": 1e-4 * group["factor"]} for group in model.parameter_groups()]
    assert [group["factor"] for group in model.parameter_groups()] == [1, 10]
    assert all(group["decays"] for group in model.parameter_groups())
    config = RELEASED.classifier
    optimizer = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    tags = torch.from_numpy(golden["cam_train_tags"])

    def batch(long_side):
        canvas = torch.zeros(2, 3, 512, 512)
        for place, image in zip(canvas, golden["cam_train_images"], strict=True):
            size = (image.shape[0] * long_side // image.shape[1], long_side)
            x = normalise(to_tensor(resize(image, size)), model.backbone.mean, model.backbone.std)
            place[:, : size[0], : size[1]] = x
        return canvas

    losses = []
    for step in range(2):
        for group, factor in zip(optimizer.param_groups, (1, 10), strict=True):
            group["lr"] = 1e-4 * factor * (1 - step / 2) ** config.poly_power
        logits = model(batch(320))
        if step == 0:
            assert relative(logits, golden["cam_train_logits"]) < 1e-5
        loss = tag_loss(logits, tags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.inference_mode():
            losses += [loss.item(), tag_loss(model(batch(128)), tags).item()]
    np.testing.assert_allclose(losses, golden["cam_train_losses"], rtol=1e-4)
    assert relative(model.fc8.weight[:, ::64, 0, 0], golden["cam_train_final_classifier"]) < 1e-4
    layers = ("fc8", "layer4.2.conv3", "layer4.2.bn3", "layer3.0.conv1", "layer2.3.conv3", "conv1")
    names = ["fc8.weight", *(f"backbone.network.{layer}.weight" for layer in layers[1:])]
    norms = [float(model.get_parameter(name).detach().norm()) for name in names]
    np.testing.assert_allclose(norms, golden["cam_train_final_norms"], rtol=1e-4)


@needs_golden
def test_the_released_checkpoints_are_converted(checkpoints, tmp_path, golden):
    said = convert_weights(checkpoints / "irn.pth", tmp_path / "irn.safetensors")
    assert "an IRNet of resnet50" in said[0]
    net = IRNet.load(tmp_path / "irn.safetensors")
    with torch.inference_mode():
        assert relative(net(torch.from_numpy(golden["input"])[None])[0], golden["irn_edge_logit"][:, 0]) < 1e-5


def test_every_backbone_carries_it_and_stays_as_it_is():
    for network in ("lite", "timm:test_byobnet", "timm:test_vit"):
        torch.manual_seed(0)
        net = IRNet(build_backbone(network)).train()
        before = {key: value.clone() for key, value in net.backbone.state_dict().items()}
        edge, displacement = net(torch.randn(2, 3, 64, 96))
        assert edge.shape == (2, 16, 24)
        assert displacement.shape == (2, 2, 16, 24)
        (edge.mean() + displacement.square().mean()).backward()
        learning = [parameter for group in net.parameter_groups() for parameter in group["params"]]
        assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learning)
        assert {id(p) for p in net.parameters() if p.requires_grad} == {id(p) for p in learning}
        assert all(torch.equal(before[key], value) for key, value in net.backbone.state_dict().items())


@pytest.mark.parametrize("size", [(18, 70), (35, 19), (20, 100)])
def test_an_image_may_have_any_size(size):
    edge, displacement = IRNet(build_backbone("lite")).eval()(torch.randn(1, 3, *size))
    grid = tuple(-(-side // 4) for side in size)
    assert (edge.shape[1:], displacement.shape[2:]) == (grid, grid)


@pytest.mark.parametrize("stride", [4, 8, 14, 16, 32])
def test_enlarged_features_stay_where_they_were(stride):
    places = (torch.arange(224 / stride) + 0.5) * stride  # rows of the image in the middle of each feature
    enlarged = _to_size(places[None, None, :, None].expand(1, 1, -1, 5), (56, 5), stride / 4)
    inside = slice(stride // 4, -(stride // 4))
    expected = (torch.arange(56) + 0.5) * 4
    torch.testing.assert_close(enlarged[0, 0, inside, 2], expected[inside])


def test_another_network_is_refused(tmp_path):
    net = AffinityNet(build_backbone("lite"))
    save_weights(tmp_path / "affinity.safetensors", net.state_dict(), net.settings)
    with pytest.raises(InputError, match="an AffinityNet of lite, not an IRNet"):
        IRNet.load(tmp_path / "affinity.safetensors")
