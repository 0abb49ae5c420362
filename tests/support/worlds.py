"""Small data sets for tests, and the settings that run the whole line on them in seconds."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from affinitynet.config.settings import CamConfig, MaskConfig, PipelineConfig, PredictConfig, WalkConfig
from affinitynet.config.trainings import AffinityConfig, ClassifierConfig, SegmenterConfig
from affinitynet.data.drawn_world import draw_world

QUICK = PipelineConfig(
    classifier=ClassifierConfig(epochs=1, min_steps=0, batch_size=2, crop_size=64, precision="float32", maps="cam"),
    cams=CamConfig(scales=(1.0,), precision="float32"),
    affinity=AffinityConfig(epochs=1, min_steps=0, batch_size=2, crop_size=64, precision="float32"),
    walk=WalkConfig(steps=16, alphas=(4.0, 8.0), precision="float32"),
    masks=MaskConfig(alpha=8.0, crf=False),
    segmenter=SegmenterConfig(epochs=1, min_steps=0, batch_size=2, crop_size=64, precision="float32"),
    predict=PredictConfig(precision="float32"),
)
"""Everything runs, nothing is learnt."""


def tiny_world(root: Path) -> Path:
    """Draw six pictures: four to train on, two to measure."""
    draw_world(root, train=4, val=2, seed=3)
    return root


def tags_of(root: Path) -> dict[str, list[str]]:
    """Return the tags of each picture of a drawn world, by its name without the suffix."""
    rows = (line.split(",") for line in (root / "tags.csv").read_text(encoding="utf-8").splitlines()[1:])
    return {Path(file).stem: [tag for tag in tags.split(";") if tag] for file, tags in rows}


def plain_folder(root: Path, tags: str = "file,tags\na.png,cat\nb.png,dog\n", count: int = 2) -> Path:
    """Write ``a.png``, ``b.png`` ... of 40 x 32 pixels and a ``tags.csv``."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = rng.integers(0, 256, (32, 40, 3), np.uint8)
        Image.fromarray(picture).save(root / f"{chr(ord('a') + number)}.png")
    (root / "tags.csv").write_text(tags, encoding="utf-8")
    return root


def tiny_voc(root: Path) -> Path:
    """Write a devkit of three photographs in both list forms."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Segmentation", "SegmentationClassAug"):
        (root / part).mkdir(parents=True)
    objects = {"2007_1": ("dog", "person", "dog"), "2007_2": ("cat",), "2007_3": ()}
    for name, tags in objects.items():
        Image.new("RGB", (40, 32), (90, 120, 60)).save(root / "JPEGImages" / f"{name}.jpg")
        inner = "".join(f"<object><name>{t}</name><difficult>1</difficult></object>" for t in tags)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{inner}</annotation>")
    Image.fromarray(np.full((32, 40), 12, np.uint8)).save(root / "SegmentationClassAug" / "2007_1.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("2007_1\n2007_2\n\n")
    (lists / "train_aug.txt").write_text(
        "".join(f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in objects)
    )
    return root


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file below a folder, locks left aside."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith(".lock")]
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


def copied(source: Path, target: Path) -> Path:
    """Copy a folder and return the copy."""
    return Path(shutil.copytree(source, target))
