"""The whole line with IRNet in AffinityNet's place."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from affinitynet.config.presets import PRESETS
from affinitynet.config.trainings import IRNetConfig
from affinitynet.errors import InputError
from affinitynet.files import read_label_image
from affinitynet.inference.links import find_links
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.irnet import IRNet
from affinitynet.ops.affinity import affinity_labels, pair_offsets
from affinitynet.pipeline import seed_samples
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.stages import train_irnet
from affinitynet.records import TaggedImage
from affinitynet.tools.export.export import export_masks
from affinitynet.tools.report.report import write_report
from affinitynet.work.folder import WorkFolder
from tests.support.interrupts import interrupted
from tests.support.worlds import QUICK, copied, snapshot, tags_of, tiny_world

BOUNDARIES = replace(
    QUICK,
    propagation="irnet",
    irnet=IRNetConfig(epochs=2, min_steps=0, batch_size=2, crop_size=64, radius=4, walk_radius=3, precision="float32"),
)
UP_TO_THE_WALK = ("check-data", "train-classifier", "make-cams", "make-seeds", "train-affinity", "train-irnet")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("irnet")
    run_pipeline(tiny_world(root / "data"), root / "work", BOUNDARIES, workers=1)
    return root / "data", root / "work"


def test_the_walk_follows_the_boundaries(made):
    data, work = made
    assert (work / "irnet.safetensors").exists()
    assert not (work / "affinity.safetensors").exists()
    assert "train-affinity" not in (work / "log.txt").read_text()
    folder, predictor = WorkFolder(work), MaskPredictor.from_work(work)
    for name, tags in tags_of(data).items():
        walk = folder.walks.load(name)
        height, width = read_label_image(work / "masks" / f"{name}.png").shape
        assert walk.stride == 4
        assert walk.scores.shape[1:] == (-(-height // 4), -(-width // 4))
        image = predictor.read(next((data / "images").glob(f"{name}.*")))
        mask = read_label_image(work / "masks" / f"{name}.png")
        found = predictor.predict(image, tags)
        assert (found.mask == mask).mean() > 0.99
        assert found.instances is not None
        assert ((found.instances.labels > 0) == (found.mask > 0)).all()


def test_a_training_that_is_interrupted_goes_on_to_the_same_network(made, tmp_path, monkeypatch):
    data, work = made
    real = train_irnet.displacement_loss
    with monkeypatch.context() as patched:
        patched.setattr(train_irnet, "displacement_loss", interrupted(real, call=2))
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(data, tmp_path / "w", BOUNDARIES, stages=UP_TO_THE_WALK, workers=1)
    run_pipeline(data, tmp_path / "w", BOUNDARIES, stages=UP_TO_THE_WALK, workers=1)
    assert snapshot(tmp_path / "w" / "losses") == {
        name: content
        for name, content in snapshot(work / "losses").items()
        if name in snapshot(tmp_path / "w" / "losses")
    }
    assert (tmp_path / "w" / "irnet.safetensors").read_bytes() == (work / "irnet.safetensors").read_bytes()


def test_objects_fill_the_masks(made):
    data, work = made
    folder = WorkFolder(work)
    for name in tags_of(data):
        found, mask = folder.instances.load(name), folder.masks.load(name)
        assert ((found.labels > 0) == (mask > 0)).all()
        for number, (kind, score) in enumerate(zip(found.classes, found.scores, strict=True)):
            assert (mask[found.mask(number)] == kind + 1).all()
            assert found.mask(number).any()
            assert 0 <= score <= 1


def test_objects_that_are_missing_are_found_again(made, tmp_path):
    work = copied(made[1], tmp_path / "work")
    before = snapshot(work / "instances")
    (work / "instances" / next(iter(before))).unlink()
    run_pipeline(made[0], work, BOUNDARIES, stages=("make-instances",), workers=1)
    assert snapshot(work / "instances") == before


def test_every_object_is_an_annotation_of_coco_and_a_layer_of_the_report(made, tmp_path):
    pytest.importorskip("pycocotools")
    data, work = made
    export_masks(work, tmp_path / "coco", "coco")
    folder = WorkFolder(work)
    objects = [folder.instances.load(name) for name in folder.instances.names()]
    written = [json.loads((tmp_path / "coco" / "annotations" / f"{s}.json").read_text()) for s in ("train", "val")]
    rows = [row for table in written for row in table["annotations"]]
    assert len(rows) == sum(len(found.classes) for found in objects)
    assert sorted(row["score"] for row in rows) == pytest.approx(
        sorted(score for found in objects for score in found.scores), abs=1e-4
    )
    sizes = sorted(int(found.mask(i).sum()) for found in objects for i in range(len(found.classes)))
    assert sorted(row["area"] for row in rows) == pytest.approx(sizes, rel=0.05, abs=3)
    assert '"objects"' in write_report(work, data).read_text(encoding="utf-8")


def test_the_released_codes_recipe_runs_as_a_whole(tmp_path):
    recipe = PRESETS["irn"]
    config = replace(
        recipe,
        network="lite",
        classifier=replace(recipe.classifier, epochs=1, batch_size=2, crop_size=64),
        cams=replace(recipe.cams, scales=(1.0,)),
        irnet=replace(recipe.irnet, epochs=1, batch_size=2, crop_size=64, canvas=128),
        segmenter=QUICK.segmenter,
    )
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "work", config, workers=1)
    folder = WorkFolder(tmp_path / "work")
    for name, tags in tags_of(data).items():
        assert (folder.cams.load(name).grid is not None) == bool(tags)
        walk, mask, objects = folder.walks.load(name), folder.masks.load(name), folder.instances.load(name)
        assert walk.stride == 4
        assert set(objects.classes) <= set(walk.classes)
        assert objects.labels.shape == mask.shape
        assert set(np.unique(mask)) <= {0, *(number + 1 for number in walk.classes)}
        # The greatest score of an image is above a quarter of itself, unless the classifier saw nothing at all.
        assert mask.any() == bool(walk.scores.any())


def test_labels_are_decided_at_full_size_and_fall_on_the_grid_as_the_image_does(made, monkeypatch):
    data, work = made
    config = replace(BOUNDARIES.irnet, min_scale=1.0, max_scale=1.0, crop_size=320, jitter=(0.0, 0.0, 0.0, 0.0))
    folder = WorkFolder(work)
    monkeypatch.setattr(seed_samples, "random_flip", lambda *maps: maps)
    for path in sorted((data / "images").glob("train_*")):
        seeds = folder.seeds.load(path.stem)
        record = TaggedImage(path.stem, path, seeds.classes)
        samples = seed_samples.ScaledSeedSamples((record,), folder, None, config, 4, (0.5,) * 3, (0.5,) * 3)
        x, labels = samples(0)
        whole = affinity_labels(seeds.low, seeds.high, foreground_first=True)
        inside = torch.nonzero(x.abs().sum(0))  # the canvas is 0
        top, left = inside.min(0).values.tolist()
        height, width = whole.shape
        canvas = torch.full((320, 320), 255)
        canvas[top : top + height, left : left + width] = whole
        assert torch.equal(labels, canvas[2::4, 2::4])


def test_the_other_propagation_is_another_configuration(made):
    data, work = made
    with pytest.raises(InputError, match="propagation: irnet -> affinity"):
        run_pipeline(data, work, replace(BOUNDARIES, propagation="affinity"), workers=1)


@torch.no_grad()
def test_links_are_the_same_in_the_mirror_and_nothing_crosses_a_boundary():
    torch.manual_seed(0)
    net = IRNet(build_backbone("lite")).eval()
    x = torch.randn(1, 3, 48, 64)
    plain, mirrored = (find_links(net, view, BOUNDARIES) for view in (x, x.flip(-1)))
    assert plain.affinity.shape == (len(pair_offsets(3)), 12, 16)
    assert plain.weight is not None
    assert mirrored.weight is not None
    assert torch.allclose(plain.weight, mirrored.weight.flip(-1), atol=1e-5)
    net.edge.weight.zero_()
    net.get_parameter("edge.bias").fill_(50)  # a boundary everywhere
    closed = find_links(net, x, BOUNDARIES)
    assert closed.affinity.max() < 1e-6
    net.get_parameter("edge.bias").fill_(-50)
    open_ = find_links(net, x, BOUNDARIES)
    scores = torch.zeros(1, 12, 16)
    scores[0, 5, 7] = 1
    assert np.count_nonzero(open_.walk(scores, 8, 4) > 1e-6) > 20
