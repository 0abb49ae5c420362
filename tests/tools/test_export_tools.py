"""Exports, read by the tools they are for: ``make test-exports`` installs those in an environment of their own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affinitynet.tools.export.coco import write_coco
from affinitynet.tools.export.huggingface import write_huggingface
from affinitynet.tools.export.voc import write_voc
from affinitynet.tools.export.yolo import write_yolo
from tests.support.exports import CLASSES, SIZE, SPLITS, strange_images

pytestmark = pytest.mark.tools


@pytest.fixture(params=[None, SPLITS], ids=["no splits", "splits"])
def labelled(request, tmp_path):
    return strange_images(tmp_path / "source", request.param)


def wanted(labelled, split: str | None = None) -> list[bytes]:
    """Return the masks of some or all images, in an order that depends on nothing else."""
    chosen = labelled.splits.values() if split is None else [labelled.splits[split]]
    return sorted(labelled.masks.load(record.name).tobytes() for records in chosen for record in records)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Somebody else's current folder, and a home for the tools' settings."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


def ultralytics(folder: Path, script: str) -> None:
    """Run a script, in a process of its own because ultralytics changes how Pillow opens files for all others."""
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


READ = """
import json, sys
from pathlib import Path
import numpy as np
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset, polygon2mask

folder = Path(sys.argv[1])
found = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
masks = []
for split in ("train", "val"):
    for label in YOLODataset(img_path=found[split], data=found, task="segment", augment=False, imgsz=64).labels:
        mask = np.zeros(label["shape"], np.uint8)
        for number, points in zip(label["cls"].flatten().astype(int), label["segments"], strict=True):
            mask[polygon2mask(mask.shape, [(points * mask.shape[::-1]).flatten()]) > 0] = number + 1
        masks.append(mask)
np.save(folder / "read.npy", masks)
(folder / "names.json").write_text(json.dumps(list(found["names"].values())))
"""


@pytest.mark.usefixtures("elsewhere")
def test_ultralytics_finds_everything_and_fills_the_masks(labelled, tmp_path):
    write_yolo(labelled, tmp_path / "yolo")
    ultralytics(tmp_path / "yolo", READ)
    assert json.loads((tmp_path / "yolo" / "names.json").read_text()) == list(CLASSES)
    assert sorted(mask.tobytes() for mask in np.load(tmp_path / "yolo" / "read.npy")) == wanted(labelled)


TRAIN = """
import sys
from ultralytics import YOLO

YOLO("yolo11n-seg.yaml").train(
    data=sys.argv[1] + "/data.yaml", project=sys.argv[1] + "/runs", name="one",
    epochs=1, imgsz=64, batch=4, workers=0, device="cpu", plots=False, amp=False,
)
"""


@pytest.mark.usefixtures("elsewhere")
def test_ultralytics_trains_an_epoch(labelled, tmp_path):
    write_yolo(labelled, tmp_path / "yolo")
    ultralytics(tmp_path / "yolo", TRAIN)
    run = tmp_path / "yolo" / "runs" / "one"
    assert (run / "weights" / "last.pt").exists()
    header, row = (
        (line.strip() for line in text.split(",")) for text in (run / "results.csv").read_text().splitlines()
    )
    losses = {name: float(value) for name, value in zip(header, row, strict=True) if name.startswith("train/")}
    assert losses["train/seg_loss"] > 0
    assert all(np.isfinite(loss) for loss in losses.values())


@pytest.mark.usefixtures("elsewhere")
def test_label_studio_imports_coco(labelled, tmp_path):
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
    from label_studio_sdk.label_interface import LabelInterface

    write_coco(labelled, tmp_path / "coco")
    for split, records in labelled.splits.items():
        tasks = tmp_path / f"{split}.json"
        convert_coco_to_ls(str(tmp_path / "coco" / "annotations" / f"{split}.json"), str(tasks))
        config = LabelInterface((tmp_path / f"{split}.label_config.xml").read_text())
        found = json.loads(tasks.read_text())
        assert len(found) == len(records)
        for task, record in zip(found, records, strict=True):
            assert config.validate_task({"data": task["data"]})
            assert config.validate_annotation(task["annotations"][0])
            mask = np.zeros(SIZE, np.uint8)
            for region in task["annotations"][0]["result"]:
                if region["type"] == "polygonlabels":
                    value = CLASSES.index(region["value"]["polygonlabels"][0]) + 1
                    points = np.array(region["value"]["points"]) / 100 * SIZE[::-1]
                    mask[filled(points)] = value
            assert (mask == labelled.masks.load(record.name)).all()


def filled(points: np.ndarray) -> np.ndarray:
    """Return the pixels whose centres are inside a polygon, bool [H, W]."""
    from matplotlib.path import Path as Outline

    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centres = np.stack((x.flatten(), y.flatten()), axis=1)
    return Outline(points, closed=False).contains_points(centres).reshape(SIZE)


def datumaro_mask(item, values: dict[int, int]) -> np.ndarray:
    """Paint what datumaro read of an image, uint8 [H, W]; ``values`` are its labels' mask values."""
    from datumaro.components.annotation import AnnotationType
    from pycocotools import mask as codec

    mask = np.zeros(SIZE, np.uint8)
    for annotation in item.annotations:
        if annotation.type == AnnotationType.label:
            continue
        value = values[annotation.label]
        if annotation.type == AnnotationType.polygon:
            (code,) = codec.frPyObjects([list(annotation.points)], *SIZE)
            mask[codec.decode(code) > 0] = value
        elif annotation.type == AnnotationType.mask:
            mask[np.asarray(annotation.image, bool)] = value
    return mask


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_datumaro_imports_coco(labelled, tmp_path, whole):
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    write_coco(labelled, tmp_path / "coco")
    for split in labelled.splits:
        if whole:
            found = Dataset.import_from(str(tmp_path / "coco"), "coco")
        else:
            found = Dataset.import_from(str(tmp_path / "coco" / "annotations" / f"{split}.json"), "coco_instances")
        labels = [label.name for label in found.categories()[AnnotationType.label]]
        assert sorted(labels) == sorted({*CLASSES, *labels[: labels.index("cup")]})
        values = {labels.index(name): value for value, name in enumerate(CLASSES, start=1)}
        items = [item for item in found if not whole or item.subset == split]
        masks = [datumaro_mask(item, values).tobytes() for item in items]
        assert sorted(masks) == wanted(labelled, split)
        assert all(item.media.data.shape[:2] == SIZE for item in items)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("form", ["voc", "voc_segmentation"])
def test_datumaro_imports_voc(labelled, tmp_path, form):
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    write_voc(labelled, tmp_path / "voc")
    found = Dataset.import_from(str(tmp_path / "voc"), form)
    labels = [label.name for label in found.categories()[AnnotationType.label]]
    assert labels == ["background", "cup", "Größe_ klein_groß", "null"]
    assert sorted(datumaro_mask(item, {v: v for v in range(4)}).tobytes() for item in found) == wanted(labelled)
    assert all(item.media.data.shape[:2] == SIZE for item in found)
    if form == "voc":
        tags = sorted(len([a for a in item.annotations if a.type == AnnotationType.label]) for item in found)
        assert tags == sorted(len(record.tags) for records in labelled.splits.values() for record in records)


@pytest.mark.usefixtures("elsewhere")
def test_datasets_loads_the_imagefolder(labelled, tmp_path):
    from datasets import load_dataset

    write_huggingface(labelled, tmp_path / "hf")
    found = load_dataset("imagefolder", data_dir=str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    assert set(found) == ({"train"} if "all" in labelled.splits else {"train", "validation"})
    masks = []
    for rows in found.values():
        for row in rows:
            assert row["image"].size == row["mask"].size == SIZE[::-1]
            mask = np.asarray(row["mask"])
            assert row["tags"] == [CLASSES[value - 1] for value in np.unique(mask) if value]
            masks.append(mask.tobytes())
    assert sorted(masks) == wanted(labelled)
