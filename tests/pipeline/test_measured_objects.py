"""AP of objects against the boxes of a VOC devkit: drawn objects that are known to the pixel."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from affinitynet.config.adaptation import adapted
from affinitynet.data.drawn_world import CLASSES
from affinitynet.files import read_label_image
from affinitynet.ops.detection import boxes_of
from affinitynet.ops.instances import components
from affinitynet.pipeline.facts import gather_facts
from affinitynet.pipeline.measured_objects import OBJECTS, PIECES, measure_objects
from affinitynet.pipeline.run import open_context
from affinitynet.records import Instances, ScoreMaps
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.contents import Contents
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, tags_of, tiny_world


@pytest.fixture
def devkit(tmp_path):
    """A drawn world as a devkit with a box around each connected piece, and a context of it."""
    drawn, root = tiny_world(tmp_path / "drawn"), tmp_path / "devkit"
    work = WorkFolder(tmp_path / "work")
    for part in ("JPEGImages", "Annotations", "ImageSets/Segmentation", "SegmentationClass"):
        (root / part).mkdir(parents=True)
    tags = tags_of(drawn)
    classes = sorted({tag for names in tags.values() for tag in names})
    (root / "labels.txt").write_text("\n".join(classes))
    for path in sorted((drawn / "images").iterdir()):
        shutil.copy(path, root / "JPEGImages" / path.name)
        truth = read_label_image(next((drawn / "masks").rglob(f"{path.stem}.png")))
        mask, labels = np.zeros_like(truth), np.zeros(truth.shape, np.int32)
        kinds: list[int] = []
        for value in (v for v in np.unique(truth).tolist() if 0 < v < 255):
            number = classes.index(CLASSES[value - 1])
            pieces = components(truth == value)
            labels = np.where(pieces > 0, pieces + len(kinds), labels)
            mask[truth == value] = number + 1
            kinds += [number] * int(pieces.max())
        boxes = boxes_of(labels)
        objects = "".join(
            f"<object><name>{classes[kind]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object>"
            for kind, (x0, y0, x1, y1) in zip(kinds, boxes.tolist(), strict=True)
        )
        (root / "Annotations" / f"{path.stem}.xml").write_text(f"<annotation>{objects}</annotation>")
        work.masks.save(path.stem, mask)
        work.instances.save(path.stem, Instances(labels, tuple(kinds), (0.5,) * len(kinds)))
        present = tuple(sorted(set(kinds)))
        work.cams.save(path.stem, ScoreMaps(present, torch.full((len(present), *mask.shape), 0.5)))
        shutil.copy(next((drawn / "masks").rglob(f"{path.stem}.png")), root / "SegmentationClass")
    names = sorted(path.stem for path in (drawn / "images").iterdir())
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    runtime = Runtime("cpu", 1, Progress(work.log_file))
    context = open_context(root, work, replace(QUICK, split="val"), runtime)
    return replace(context, config=adapted(context.config))


def test_true_objects_are_found_and_glued_ones_are_not(devkit):
    measure_objects(devkit)
    found = json.loads(devkit.work.objects_file.read_text())["val"]
    assert found[OBJECTS]["AP50"] == found[OBJECTS]["AP75"] == 1
    assert found[OBJECTS]["images"] == 6
    assert found[PIECES]["AP50"] == 1  # where none touch, pieces are objects
    for name in list(devkit.work.instances.names()):
        whole = devkit.work.instances.load(name)
        one = Instances((whole.labels > 0).astype(np.int32), whole.classes[:1], whole.scores[:1])
        devkit.work.instances.save(name, one)
    measure_objects(devkit)
    glued = json.loads(devkit.work.objects_file.read_text())["val"]
    assert glued[OBJECTS]["AP50"] < 1
    assert "AP50 / AP75 of boxes" in devkit.work.log_file.read_text()


def test_images_whose_boxes_cannot_be_read_are_said_and_not_counted(devkit):
    annotations = (devkit.collection.root / "Annotations").glob("*.xml")
    path = next(path for path in annotations if "<xmin>" in path.read_text())
    path.write_text(path.read_text().replace("<xmin>", "<xmin>?"))
    measure_objects(devkit)
    assert json.loads(devkit.work.objects_file.read_text())["val"][OBJECTS]["images"] == 5
    assert "not among the boxes" in devkit.work.log_file.read_text()


def test_images_whose_objects_are_named_without_a_box_are_not_counted(devkit):
    annotations = sorted((devkit.collection.root / "Annotations").glob("*.xml"))
    named = [path for path in annotations if "<object>" in path.read_text()]
    for path in named[:1]:
        path.write_text(re.sub("<bndbox>.*?</bndbox>", "", path.read_text()))
    measure_objects(devkit)
    assert json.loads(devkit.work.objects_file.read_text())["val"][OBJECTS]["images"] == len(annotations) - 1
    devkit.work.objects_file.unlink()
    for path in named:
        path.write_text(re.sub("<bndbox>.*?</bndbox>", "", path.read_text()))
    measure_objects(devkit)
    assert devkit.work.objects_file.exists() == (len(named) < len(annotations))


def test_a_box_that_is_mended_is_measured_again(devkit, tmp_path):
    before = gather_facts(devkit, Contents(tmp_path / "contents.json"))
    annotation = next((tmp_path / "devkit" / "Annotations").glob("*.xml"))
    annotation.write_text(re.sub(r"<xmin>\d+", "<xmin>1", annotation.read_text(), count=1) + " ")
    after = gather_facts(devkit, Contents(tmp_path / "contents.json"))
    assert [stage for stage in before if before[stage] != after[stage]] == ["evaluate"]
