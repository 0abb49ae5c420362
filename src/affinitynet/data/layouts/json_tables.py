"""Tables in JSON: tags by file, lists of records, JSON lines, and what Label Studio exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from affinitynet.data.image_files import EXTENSIONS
from affinitynet.data.layouts.columns import FILE_COLUMNS, TAG_COLUMNS, column_name
from affinitynet.data.layouts.table import Row, Table
from affinitynet.data.layouts.text import tidy
from affinitynet.errors import InputError, Problems

EXAMPLE = '{"photo.jpg": ["cat", "dog"]}'


class NotAnnotated:
    """The tags of a task that nobody has worked on, which is not the same as none."""


def read_json_table(text: str, path: Path, problems: Problems) -> Table:
    """Read ``{"file": tags}``, ``[{"file": ..., "tags": ...}]``, or such a record in each line.

    Raises:
        InputError: it is not JSON, or has another shape.
    """
    content = _parse(text.lstrip("\ufeff"), path)
    if isinstance(content, dict) and {"images", "annotations"} <= set(content):
        raise InputError(f"{path}: looks like COCO, not like a table of tags; write {EXAMPLE}")
    if isinstance(content, dict) and content and not _is_record(content):
        return Table(path, ("file", "tags"), [_tagged_file(path, name, tags) for name, tags in content.items()])
    records = [content] if isinstance(content, dict) and content else content
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: is not a list of tags for each file; write {EXAMPLE}")
    return _table(path, [_plain(record) for record in records])


def _parse(text: str, path: Path) -> Any:
    """Return the content of a JSON file, or of its lines."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason: Exception = error
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and lines[0].strip().endswith("}"):
            try:
                return [json.loads(line) for line in lines]
            except (ValueError, RecursionError) as error_of_line:
                reason = error_of_line
        raise InputError(f"{path}: not readable JSON ({reason}); fix it") from None


def _is_record(content: dict[str, Any]) -> bool:
    """Return whether an object is one record, the only line of a JSON lines file, and not tags by file."""
    names = {column_name(key) for key in content}
    return bool(names & set(FILE_COLUMNS)) and bool(names & set(TAG_COLUMNS))


def _tagged_file(path: Path, name: str, tags: Any) -> Row:
    """Return the row of ``"file": tags``; ``tags`` may be an object that holds them."""
    if isinstance(tags, dict) and "choices" not in tags:
        held = [value for key, value in tags.items() if column_name(key) in TAG_COLUMNS]
        tags = held[0] if len(held) == 1 else tags
    return Row(f"{path}: {name!r}", (name, tags))


def _table(path: Path, records: list[dict[str, Any]]) -> Table:
    """Return records as a table with a column for each key."""
    header = list(dict.fromkeys(key for record in records for key in record))
    if len(header) > 10_000:
        raise InputError(f"{path}: its records have {len(header)} different keys; is it a table of tags?")
    rows = [
        Row(f"{path}: record {number}", tuple(record.get(key, "") for key in header))
        for number, record in enumerate(records, start=1)
    ]
    return Table(path, tuple(tidy(key) for key in header), rows)


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record; of a task as Label Studio's full export has it, its file and its tags."""
    data, annotations = record.get("data"), record.get("annotations", record.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return record
    return {"file": _file_of(data), "tags": _results(annotations)}


def _file_of(data: dict[str, Any]) -> str:
    texts = {column_name(key): value for key, value in data.items() if isinstance(value, str)}
    named = [texts[name] for name in FILE_COLUMNS if name in texts]
    images = [value for value in texts.values() if Path(value.partition("?")[0].lower()).suffix in EXTENSIONS]
    return next(iter([*named, *images]), "")


def _results(annotations: list[Any]) -> list[str] | NotAnnotated:
    """Return the labels of a task: its choices and those of its boxes, outlines and brush strokes."""
    done = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    if not done:
        return NotAnnotated()
    labels: dict[str, None] = {}
    for annotation in done:
        results = annotation.get("result")
        for result in results if isinstance(results, list) else ():
            value = result.get("value") if isinstance(result, dict) else None
            for key, names in value.items() if isinstance(value, dict) else ():
                if key == "choices" or key.endswith("labels"):
                    labels |= dict.fromkeys(str(name) for name in (names if isinstance(names, list) else [names]))
    return list(labels)
