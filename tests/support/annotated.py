"""Small collections of the layouts that annotation tools write, for fuzzing and hostile inputs."""

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from affinitynet.data.collection import open_collection

OUTLINE = [2, 2, 30, 4, 20, 28]
RUNS = {"size": [32, 40], "counts": [100, 50, 1130]}
CODE = {"size": [32, 40], "counts": "T3b1ZS1"}


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate("abcdef"):
        Image.new("RGB", (40, 32), (40 * number, 90, 60)).save(folder / f"{name}.png")


def coco(root: Path) -> Path:
    """Write six images with outlines and run lengths in both forms; return the JSON file."""
    pictures(root / "images")
    images = [{"id": n, "file_name": f"{name}.png", "height": 32, "width": 40} for n, name in enumerate("abcdef", 1)]
    shapes = [[OUTLINE], RUNS, CODE, [OUTLINE, [1, 1, 9, 1, 9, 9.5]], RUNS]
    annotations = [
        {"id": n, "image_id": n, "category_id": 3 + n % 2, "iscrowd": int(n == 5), "segmentation": shape}
        for n, shape in enumerate(shapes, 1)
    ]
    categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return root / "annotations.json"


def cvat(root: Path) -> Path:
    """Write six images with every kind of shape; return ``annotations.xml``."""
    pictures(root / "images")
    inner = [
        '<polygon label="cat" points="2.0,2.0;30.5,4.0;20.0,28.0" z_order="1"/>',
        '<mask label="dog" rle="1, 2, 3" left="4" top="5" width="3" height="2" z_order="0"/>',
        '<ellipse label="cat" cx="8" cy="6" rx="4" ry="3"/>',
        '<box label="dog" xtl="1" ytl="1" xbr="5" ybr="5"/>',
        '<tag label="cat"/>',
        "",
    ]
    entries = [
        f'<image id="{n}" name="{name}.png" width="40" height="32">{shape}</image>\n'
        for n, (name, shape) in enumerate(zip("abcdef", inner, strict=True))
    ]
    labels = "<meta><job><labels><label><name>cat</name></label></labels></job></meta>"
    (root / "annotations.xml").write_text(f"<annotations>{labels}{''.join(entries)}</annotations>", encoding="utf-8")
    return root / "annotations.xml"


def yolo(root: Path) -> Path:
    """Write six images with polygons and boxes; return ``data.yaml``."""
    pictures(root / "images" / "train")
    (root / "labels" / "train").mkdir(parents=True)
    for number, name in enumerate("abcde"):
        line = f"{number % 2} 0.1 0.1 0.5 0.1 0.5 0.5\n" if number < 3 else f"{number % 2} 0.5 0.5 0.2 0.2\n"
        (root / "labels" / "train" / f"{name}.txt").write_text(line)
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: [images/train]\nnames: [cat, dog]\n")
    return root / "data.yaml"


def huggingface(root: Path) -> Path:
    """Write six images with masks and tags; return ``metadata.jsonl``."""
    pictures(root / "train" / "images")
    (root / "train" / "masks").mkdir()
    rows = []
    for name in "abcdef":
        Image.new("L", (40, 32), 1).save(root / "train" / "masks" / f"{name}.png")
        rows.append({"file_name": f"images/{name}.png", "mask_file_name": f"masks/{name}.png", "tags": ["cat"]})
    (root / "train" / "metadata.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return root / "train" / "metadata.jsonl"


def devkit(root: Path) -> Path:
    """Write six images with own classes and coloured masks; return ``labelmap.txt``."""
    pictures(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "SegmentationClass").mkdir()
    for name in "abcdef":
        (root / "Annotations" / f"{name}.xml").write_text(
            "<annotation><object><name>helmet</name></object></annotation>"
        )
        Image.new("RGB", (40, 32), (128, 0, 0)).save(root / "SegmentationClass" / f"{name}.png")
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nhelmet:128,0,0::\n")
    return root / "labelmap.txt"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "COCO": coco,
    "CVAT": cvat,
    "YOLO": yolo,
    "Hugging Face": huggingface,
    "labelmap.txt": devkit,
}
"""Layout -> what writes a small one and returns the file that describes it."""


def read_all(root: Path) -> None:
    """Read a collection and every mask of it that can be read."""
    collection = open_collection(root, on_error="skip")
    for record in collection.targets(collection.default_split):
        if record.truth is not None:
            collection.mask(record)
