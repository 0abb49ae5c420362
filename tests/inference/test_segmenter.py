"""The segmentation network: shapes, its line through the work folder, and labelling without tags."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from affinitynet.cli import main
from affinitynet.config.settings import CRFParams, PipelineConfig, PredictConfig
from affinitynet.config.trainings import SegmenterConfig
from affinitynet.data.transforms import normalise, to_tensor
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.inference.untagged import SEEN, SegmentationPredictor
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.segmenter import ARCHITECTURES, CRF, Segmenter, start_from
from affinitynet.ops.crf import dense_crf
from affinitynet.ops.decision import labels_at
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.stages.train_segmenter import SegmenterSamples, check_segmenter, new_segmenter
from affinitynet.records import TaggedImage
from tests.support.worlds import QUICK, snapshot


@pytest.mark.parametrize("finds_tags", [False, True])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "LargeFOV"])
def test_every_architecture_labels_every_pixel_and_trains(architecture, finds_tags):
    model = Segmenter(architecture, "lite", ["a", "b"], finds_tags=finds_tags)
    x = torch.rand(1, 3, 72, 100)
    with torch.inference_mode():
        assert model.eval()(x).shape == (1, 3, 72, 100)
    model.train()
    assert not any(m.training for m in model.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    found = model(x)
    pixels = found.pixels if finds_tags else found
    loss = F.cross_entropy(pixels, torch.zeros(1, 72, 100, dtype=torch.int64))
    (loss + found.tags.sum() if finds_tags else loss).backward()
    assert model.tag_head is None or model.tag_head.classify.weight.grad is not None
    groups = model.parameter_groups()
    parameters = [id(p) for group in groups for p in group["params"]]
    assert sorted(parameters) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    new = {id(p) for group in groups if group["factor"] >= 10 for p in group["params"]}
    assert new.isdisjoint(id(p) for p in model.encoder.parameters())


@pytest.mark.parametrize("network", ["vgg16", "resnet38"])
def test_the_papers_networks_have_the_papers_head(network):
    with torch.device("meta"):
        model = Segmenter("LargeFOV", network, [f"class {i}" for i in range(20)])
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 21, 64, 64)
    if network == "vgg16":
        encoder: Any = model.encoder
        assert encoder.fc6.dilation == (12, 12)


def test_the_decoder_is_as_wide_as_asked_and_the_file_says_so(tmp_path):
    def width(model: Segmenter) -> int:
        return model.get_submodule("network.segmentation_head.0").in_channels  # type: ignore[return-value]

    def of(**settings: Any) -> Segmenter:
        return new_segmenter(PipelineConfig(segmenter=SegmenterConfig(**settings)), ["a"])

    assert width(of()) == 256
    assert width(of(decoder_channels=32)) == 32
    path = tmp_path / "segmenter.safetensors"
    for model in of(), of(decoder_channels=32):
        save_weights(path, model.state_dict(), model.settings)
        x = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            assert torch.equal(Segmenter.load(path)(x), model.eval()(x))
    with pytest.raises(InputError, match="Unet has none"):
        of(architecture="Unet", decoder_channels=32)


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "LargeFOV"])
def test_the_encoder_starts_from_the_backbone(architecture):
    model, backbone = Segmenter(architecture, "lite", ["a"]), build_backbone("lite")
    start_from(model, backbone)
    weights = dict(backbone.named_parameters())
    for name, parameter in model.encoder.named_parameters():
        assert torch.equal(parameter, weights[name.replace("model.", "network.", 1)])


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "LargeFOV"])
def test_tags_are_found_by_the_backbones_last_features(architecture):
    """Pretrained they are, also where the architecture leaves the last convolution out, and their BatchNorm stays."""
    model, backbone = Segmenter(architecture, "lite", ["a", "b"], finds_tags=True), build_backbone("lite").eval()
    start_from(model, backbone)
    assert model.tag_head is not None
    assert model.tag_head.classify.in_features == 1280
    rates = {id(p): group["factor"] for group in model.parameter_groups() for p in group["params"]}
    assert rates[id(model.tag_head.classify.weight)] == 10
    assert all(rates[id(parameter)] <= 2 for parameter in model.tag_head.last.parameters())
    before = {key: value.clone() for key, value in model.tag_head.last.named_buffers()}
    x = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    model.train()(x)
    assert all(torch.equal(value, before[key]) for key, value in model.tag_head.last.named_buffers())
    with torch.inference_mode():
        found = model.eval().coarse(x).tags
        expected = F.logsigmoid(model.tag_head.classify(backbone(x)[-1].mean((2, 3))))
    assert found is not None
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_what_cannot_be_built_is_told():
    with pytest.raises(InputError, match="did you mean Unet"):
        Segmenter("Unett", "lite", ["a"])
    with pytest.raises(InputError, match="cannot build"):
        Segmenter("Unet", "resnet9000", ["a"])
    with pytest.raises(InputError, match="a different network in Unet"):
        start_from(Segmenter("Unet", "resnet18", ["a"]), build_backbone("lite"))


def test_the_network_is_checked_before_hours_are_spent(world, tmp_path):
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"architecture": "Unett"}, "did you mean Unet"),
        ({"encoder": "resnet9000", "start": "random"}, "cannot build"),
        ({"encoder": "vgg16", "architecture": "Unet", "start": "imagenet"}, None),
    ]
    for changed, message in cases:
        config = replace(QUICK, segmenter=replace(QUICK.segmenter, **changed))
        if message:
            with pytest.raises(InputError, match=message):
                run_pipeline(world, tmp_path / "work", config, workers=1)
        else:
            check_segmenter(config, ["a"])
    with pytest.raises(InputError, match="a different network in Unet"):
        check_segmenter(replace(QUICK, network="vgg16", segmenter=SegmenterConfig(architecture="Unet")), ["a"])
    with pytest.raises(ValueError, match="imagenet or random, since the classifier's network is lite"):
        replace(QUICK, segmenter=SegmenterConfig(encoder="resnet34"))
    assert not (tmp_path / "work" / "config.yaml").exists()


@pytest.mark.parametrize("network", ["lite", "vgg16", "resnet38", "timm:test_vit", "timm:test_byobnet"])
def test_every_network_has_its_segmenter(network):
    check_segmenter(PipelineConfig(network=network), ["a"])


def test_samples_keep_image_and_mask_together(tmp_path):
    """A picture whose mask is its red channel stays so through every random change but the colours'."""
    from affinitynet.files import save_mask
    from affinitynet.work.folder import WorkFolder

    labels = np.kron(np.array([[0, 1], [2, 3]], np.uint8), np.ones((20, 30), np.uint8))
    Image.fromarray(np.stack([labels * 60] * 3, -1)).save(tmp_path / "a.png")
    work = WorkFolder(tmp_path / "work")
    save_mask(work.masks.path("a"), labels)
    config = SegmenterConfig(crop_size=64, min_scale=0.5, max_scale=1.5)
    samples = SegmenterSamples(
        (TaggedImage("a", tmp_path / "a.png", (1,)),), 3, work.masks, config, (0, 0, 0), (1, 1, 1)
    )
    for seed in range(10):
        torch.manual_seed(seed)
        pixels, mask, tags = samples(0)
        assert tags.tolist() == [0, 1, 0]
        assert pixels.shape == (3, 64, 64)
        assert mask.shape == (64, 64)
        outside = mask == 255
        assert pixels[:, outside].abs().max() == 0 if outside.any() else True
        means = [float(pixels[:, mask == label].mean()) for label in range(4) if (mask == label).sum() > 60]
        assert means == sorted(means)


def test_crops_are_laid_around_every_class(tmp_path):
    """A spot of a thousandth of the image is in as many crops as ``labelled_crops`` says, and anywhere in them."""
    from affinitynet.files import save_mask
    from affinitynet.work.folder import WorkFolder

    Image.new("RGB", (600, 300)).save(tmp_path / "a.png")
    mask = np.zeros((300, 600), np.uint8)
    mask[:, :200], mask[250:260, 500:510] = 1, 2
    work = WorkFolder(tmp_path / "work")
    save_mask(work.masks.path("a"), mask)
    config = SegmenterConfig(crop_size=64, long_side=600, min_scale=1.0, max_scale=1.0, labelled_crops=1.0)
    samples = SegmenterSamples(
        (TaggedImage("a", tmp_path / "a.png", (1,)),), 3, work.masks, config, (0, 0, 0), (1, 1, 1)
    )
    places = []
    for seed in range(60):
        torch.manual_seed(seed)
        found = samples(0)[1]
        assert (found > 0).any()
        if (found == 2).any():
            places.append(float((found == 2).nonzero()[:, 1].float().mean()))
    assert 15 < len(places) < 45
    assert min(places) < 20
    assert max(places) > 44


def test_images_are_labelled_at_the_size_they_were_learnt_at():
    model = Segmenter("LargeFOV", "lite", ["a", "b"]).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    config = PredictConfig((1.0,), crf=False, precision="float32")
    scores = SegmentationPredictor(model, config).scores(image)
    model.settings["long_side"] = 112
    twice = SegmentationPredictor(model, config).scores(image)
    assert twice.shape == scores.shape
    model.settings.pop("long_side")
    doubled = SegmentationPredictor(model, PredictConfig((2.0,), crf=False, precision="float32")).scores(image)
    torch.testing.assert_close(twice, doubled)
    assert not torch.allclose(twice, scores)


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "LargeFOV"])
def test_what_the_tag_head_finds_weighs_the_pixels_unless_the_tags_are_told(architecture, tmp_path):
    torch.manual_seed(0)
    model = Segmenter(architecture, "lite", ["a", "b"], finds_tags=True)
    save_weights(tmp_path / "s.safetensors", model.state_dict(), model.settings)
    model = Segmenter.load(tmp_path / "s.safetensors")
    assert model.tag_head is not None
    with torch.no_grad():
        model.tag_head.classify.weight.zero_()
        model.tag_head.classify.bias.copy_(torch.tensor([0.0, -3.0]))
    image = np.random.default_rng(0).integers(0, 256, (128, 160, 3), np.uint8)
    predictor = SegmentationPredictor(model, PredictConfig((1.0,), "each", crf=False, precision="float32"))
    told, own = predictor.tagged_scores(image, [0, 1]), predictor.scores(image)
    x = normalise(to_tensor(image), model.mean, model.std)[None]
    with torch.inference_mode():
        views = [model(view).double() for view in (x, x.flip(-1))]
    shown = torch.tensor([1.0, 0.5, 1 / (1 + np.exp(3.0))], dtype=torch.float64)[:, None, None]
    plain = [(view[0].exp() / shown) / (view[0].exp() / shown).sum(0) for view in views]
    torch.testing.assert_close(told.double(), (plain[0] + plain[1].flip(-1)) / 2, atol=1e-5, rtol=1e-4)
    weighed = [view * shown / (view * shown).sum(0) for view in plain]
    torch.testing.assert_close(own.double(), (weighed[0] + weighed[1].flip(-1)) / 2, atol=1e-5, rtol=1e-4)
    tagged = predictor.tagged_scores(image, [1])
    torch.testing.assert_close(tagged[1], told[2] / (told[0] + told[2]))


def test_the_crf_is_as_wide_as_where_it_was_fitted():
    torch.manual_seed(0)
    model = Segmenter("LargeFOV", "lite", ["a", "b"]).eval()
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)

    def scores(longest_side, crf, **settings):
        model.settings = {**built, CRF: crf, **settings}
        config = PredictConfig((1.0,), crf=True, longest_side=longest_side, precision="float32")
        return SegmentationPredictor(model, config).scores(image)

    built, wide, narrow = model.settings, {"bilateral_sxy": 8.0}, {"bilateral_sxy": 4.0, "gaussian_sxy": 1.5}
    half = scores(64, narrow)
    assert half.shape == (3, 48, 64)
    torch.testing.assert_close(scores(64, wide, labelled_at=128), half)
    torch.testing.assert_close(scores(64, wide, labelled_at=None), half)
    torch.testing.assert_close(scores(64, narrow, labelled_at=64), half)
    assert not torch.allclose(scores(64, wide, labelled_at=64), half)
    with pytest.raises(InputError, match="labelled_at is not a number of pixels"):
        scores(64, wide, labelled_at="x")


def test_with_tags_an_image_is_labelled_at_the_size_it_comes_in():
    torch.manual_seed(0)
    model = Segmenter("LargeFOV", "lite", ["a", "b"]).eval()
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    predictor = SegmentationPredictor(model, PredictConfig((1.0,), longest_side=64, precision="float32"))
    assert predictor.tagged_scores(image, [1], crf=True).shape == (2, 96, 128)
    assert predictor.tagged_scores(image, []).shape == (1, 96, 128)
    labelled = MaskPredictor(
        TagClassifier(build_backbone("lite"), ["a", "b"]), None, PipelineConfig(longest_side=128), segmenter=model
    )
    assert labelled.predict(image, ["b"], clicks=[(110, 80, "b")]).mask[80, 110] == 2


def test_masks_enlarge_as_interpolation_does():
    scores = torch.rand(5, 9, 13)
    expected = F.interpolate(scores[None], (70, 90), mode="bilinear", align_corners=False)[0].argmax(0)
    assert (labels_at(scores, (70, 90)) == expected.numpy()).mean() > 0.999
    assert (labels_at(scores, (9, 13)) == scores.argmax(0).numpy()).all()


def test_probabilities_are_those_of_the_network():
    model = Segmenter("LargeFOV", "lite", ["a", "b"]).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    config = PredictConfig((1.0,), "each", crf=False, precision="float32")
    scores = SegmentationPredictor(model, config).scores(image)
    x = normalise(to_tensor(image), model.mean, model.std)[None]
    with torch.inference_mode():
        expected = (model(x).softmax(1) + model(x.flip(-1)).softmax(1).flip(-1))[0] / 2
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scores.sum(0), torch.ones(40, 56))
    small = SegmentationPredictor(model, PredictConfig(longest_side=64, scales=(0.5, 1.0)))
    large = np.zeros((120, 300, 3), np.uint8)
    assert small.scores(large).shape == (3, 26, 64)
    assert small.predict(large).shape == (120, 300)


def test_sizes_are_mirrored_by_turns():
    torch.manual_seed(0)
    model = Segmenter("LargeFOV", "lite", ["a", "b"]).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)

    def seen(scale: float, mirrored: bool) -> torch.Tensor:
        shown = image[:, ::-1].copy() if mirrored else image
        config = PredictConfig((scale,), crf=False, precision="float32")
        found = SegmentationPredictor(model, config).scores(shown)
        return found.flip(-1) if mirrored else found

    config = PredictConfig((0.5, 1.0, 1.5), crf=False, precision="float32")
    expected = (seen(0.5, False) + seen(1.0, True) + seen(1.5, False)) / 3
    torch.testing.assert_close(SegmentationPredictor(model, config).scores(image), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"bilateral_sxy": 9.0, "gaussian_sxy": 1.0}])
def test_the_crf_that_follows_has_the_widths_of_the_seeds_and_sees_what_may_be_there(settings):
    torch.manual_seed(0)
    model = Segmenter("LargeFOV", "lite", ["a", "b", "c"], finds_tags=True).eval()
    assert model.tag_head is not None
    with torch.no_grad():
        model.tag_head.classify.weight.zero_()
        model.tag_head.classify.bias.copy_(torch.tensor([0.0, -9.0, 1.0]))  # b is nowhere in the image
    model.settings["crf"] = settings
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    plain = SegmentationPredictor(model, PredictConfig(crf=False, precision="float32")).scores(image)
    assert plain[2].max() < SEEN < plain[[1, 3]].amin((1, 2)).min()
    predictor = SegmentationPredictor(model, PredictConfig(precision="float32"))
    expected = dense_crf(torch.from_numpy(image), plain[[0, 1, 3]], CRFParams(**settings))
    torch.testing.assert_close(predictor.scores(image)[[0, 1, 3]], expected, atol=1e-5, rtol=1e-4)
    assert not predictor.scores(image)[2].any()
    assert (predictor.predict(image) == np.array([0, 1, 3])[expected.argmax(0).numpy()]).all()
    model.settings["crf"] = {"widths": 3}
    with pytest.raises(InputError, match="settings of the CRF"):
        predictor.predict(image)


def test_predict_keeps_names_and_continues(world, finished, tmp_path, capsys):
    source = tmp_path / "new"
    (source / "sub").mkdir(parents=True)
    picture = next((world / "images").iterdir())
    for name in ("a.jpg", "sub/a.jpg", "sub/b.png", "sub/b.jpg"):
        Image.open(picture).save(source / name)
    command = ["predict", str(source), str(picture), "-o", str(tmp_path / "out"), "--model", str(finished)]
    assert main([*command, "--overlays", "--scores", "--workers", "1"]) == 0
    masks = {p.relative_to(tmp_path / "out" / "masks").as_posix() for p in (tmp_path / "out" / "masks").rglob("*.png")}
    assert masks == {"a.png", "sub/a.png", "sub/b.png.png", "sub/b.jpg.png", f"{picture.stem}.png"}
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 5
    scores = np.load(tmp_path / "out" / "scores" / "a.npz")["scores"]
    assert scores.shape[0] == 5
    mask = Image.open(tmp_path / "out" / "masks" / "a.png")
    assert mask.mode == "P"
    assert mask.size == Image.open(picture).size
    assert "5 images labelled" in capsys.readouterr().out
    (tmp_path / "out" / "masks" / "a.png").unlink()
    before = snapshot(tmp_path / "out" / "overlays")
    assert main([*command, "--workers", "1"]) == 0
    assert "1 images labelled" in capsys.readouterr().out
    assert snapshot(tmp_path / "out" / "overlays") == before


def test_refusals(world, finished, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    model = ["--model", str(finished)]
    for arguments, complaint in (
        ([str(tmp_path / "absent.jpg"), *model], "no such file or folder"),
        ([str(tmp_path / "empty"), *model], "no image to label"),
        ([str(world), "--model", str(tmp_path)], "has no segmenter.safetensors"),
        (
            [str(world), "--model", str(finished / "classifier.safetensors")],
            "no segmentation network",
        ),
    ):
        assert main(["predict", *arguments, "-o", str(tmp_path / "out")]) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inference_settings_do_not_train_again(world, work):
    before = (work / "segmenter.safetensors").stat().st_mtime_ns
    config = replace(QUICK, predict=replace(QUICK.predict, crf=True))
    run_pipeline(world, work, config, workers=1)
    assert (work / "segmenter.safetensors").stat().st_mtime_ns == before
    assert "segmentation network, no tags" in json.loads((work / "metrics.json").read_text())["val"]
