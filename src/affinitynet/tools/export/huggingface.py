"""Hugging Face ``datasets``: an imagefolder."""

from __future__ import annotations

import json
from pathlib import Path

from affinitynet.files import save_mask, write_text
from affinitynet.tools.export.common import LabelledImages, write_image


def write_huggingface(labelled: LabelledImages, target: Path) -> None:
    """Write ``SPLIT/metadata.jsonl``, which names image, mask and tags."""
    rows: dict[str, list[str]] = {split: [] for split in labelled.splits}
    for split, record, mask in labelled:
        path = write_image(record, target / split / "images" / record.name)
        save_mask(target / split / "masks" / f"{record.name}.png", mask)
        row = {
            "file_name": path.relative_to(target / split).as_posix(),
            "mask_file_name": f"masks/{record.name}.png",
            "tags": [labelled.classes[tag] for tag in record.tags],
        }
        rows[split].append(json.dumps(row, ensure_ascii=False))
    for split, lines in rows.items():
        write_text(target / split / "metadata.jsonl", "\n".join(lines) + "\n")
    write_text(target / "labels.txt", "\n".join(("background", *labelled.classes)) + "\n")
