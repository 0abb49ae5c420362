"""PASCAL VOC: a devkit folder."""

from __future__ import annotations

import re
from pathlib import Path

from affinitynet.files import save_mask, voc_palette, write_text
from affinitynet.tools.export.common import LabelledImages, renamed, write_image


def write_voc(labelled: LabelledImages, target: Path) -> None:
    """The devkit: JPEGImages, SegmentationClass (palette PNG), lists of names and tags in ImageSets, labelmap.txt.

    Tags are in ``ImageSets/Main/CLASS_SPLIT.txt``, class names with their colours in ``labelmap.txt``.
    """
    splits = _lists(labelled)
    rule = "classes renamed, because VOC cannot express their names"
    classes = renamed(labelled.classes, _safe_class, rule, labelled.problems)
    names = labelled.names(safe_name, "a list would lose them")
    for _, record, mask in labelled:
        name = names[record.name]
        write_image(record, target / "JPEGImages" / name, only_jpeg=True)
        save_mask(target / "SegmentationClass" / f"{name}.png", mask)
    for split, records in labelled.splits.items():
        members = [names[record.name] for record in records]
        for task in ("Segmentation", "Main"):
            write_text(target / "ImageSets" / task / f"{splits[split]}.txt", _lines(members))
        for number, name in enumerate(classes.values()):
            rows = [f"{m} {1 if number in r.tags else -1:2d}" for m, r in zip(members, records, strict=True)]
            write_text(target / "ImageSets" / "Main" / f"{name}_{splits[split]}.txt", _lines(rows))
    write_text(target / "labels.txt", _lines(["background", *labelled.classes]))
    colours = [",".join(map(str, voc_palette()[3 * v : 3 * v + 3])) for v in range(len(classes) + 1)]
    rows = [f"{name}:{colour}::" for name, colour in zip(["background", *classes.values()], colours, strict=True)]
    write_text(target / "labelmap.txt", _lines(["# label:color_rgb:parts:actions", *rows]))


def _lists(labelled: LabelledImages) -> dict[str, str]:
    """Return the name of each split's lists."""
    if tuple(labelled.splits) == ("all",):
        return {"all": "trainval"}  # one of the names that torchvision accepts
    rule = "lists renamed, because readers take an underscore for the end of a class name"
    return renamed(labelled.splits, lambda name: name.replace("_", "-"), rule, labelled.problems)


def _lines(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def safe_name(name: str) -> str:
    """Change a name of an image that a reader of lists would skip as a comment, or strip.

    Example:
        >>> safe_name("#1 cat "), safe_name("site 1/cat")
        ('_1 cat', 'site 1/cat')
    """
    return re.sub("^#", "_", name.strip())


def _safe_class(name: str) -> str:
    """Change a class name that cannot be part of a file name or of a line of ``labelmap.txt``.

    Example:
        >>> _safe_class("cup: blue/white")
        'cup_ blue_white'
    """
    return re.sub(r'^#|[<>:"/\\|?*]', "_", name.strip())
