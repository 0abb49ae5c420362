"""Hugging Face ``datasets``: an imagefolder."""

from __future__ import annotations

import json
from pathlib import Path

from affinitynet.files import save_mask, write_text
from affinitynet.tools.export.common import LabelledImages, write_image
from affinitynet.tools.export.roles import in_roles


def write_huggingface(labelled: LabelledImages, target: Path) -> None:
    """The imagefolder for datasets.load_dataset, with image, mask and tags.

    ``SPLIT/metadata.jsonl`` names the files. ``datasets`` takes every folder called train, val or test, however deep,
    for a split, so there are no other folders.
    """
    labelled = in_roles(labelled)
    names = labelled.names(lambda name: name.replace("/", "_"), "a folder can be taken for a split")
    rows: dict[str, list[str]] = {split: [] for split in labelled.splits}
    for split, record, mask in labelled:
        name = names[record.name]
        path = write_image(record, target / split / "images" / name)
        save_mask(target / split / "masks" / f"{name}.png", mask)
        row = {
            "file_name": path.relative_to(target / split).as_posix(),
            "mask_file_name": f"masks/{name}.png",
            "tags": [labelled.classes[tag] for tag in record.tags],
        }
        rows[split].append(json.dumps(row, ensure_ascii=False))
    for split, lines in rows.items():
        write_text(target / split / "metadata.jsonl", "\n".join(lines) + "\n")
        if not any(record.tags for record in labelled.splits[split]):
            labelled.problems.warn(
                f"{split} has no image with a tag, so datasets cannot tell what tags are: load it by itself, "
                f"with its folder {split} as data_dir"
            )
    write_text(target / "labels.txt", "\n".join(("background", *labelled.classes)) + "\n")
