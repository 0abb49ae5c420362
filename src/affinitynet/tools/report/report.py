"""One self-contained HTML page about a work folder: what was run, how good the result is, and a gallery."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from affinitynet.config.adaptation import given, holds, lines_of
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.facts import read_facts
from affinitynet.data.summary import Summary, summarise
from affinitynet.errors import InputError
from affinitynet.files import write_text
from affinitynet.records import TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import Finished, open_finished
from affinitynet.tools.report.charts import loss_chart
from affinitynet.work.folder import WorkFolder
from affinitynet.work.learnt import read_learnt
from affinitynet.work.metrics import SEGMENTER, StepMetrics, read_metrics, steps_of, truth_remark

if TYPE_CHECKING:
    from affinitynet.tools.report.cards import Card

KINDS = (
    {"id": "cam", "title": "class activation map", "sharp": False},
    {"id": "seeds", "title": "seeds", "sharp": True},
    {"id": "walk", "title": "random walk", "sharp": False},
    {"id": "mask", "title": "mask", "sharp": True},
    {"id": "objects", "title": "objects", "sharp": True},
    {"id": "network", "title": "segmentation network", "sharp": True},
    {"id": "truth", "title": "ground truth", "sharp": True},
)
"""The layers of a card, in the order of the method."""


def write_report(work: Path, data: Path | None = None, most: int = 3000, *, runtime: Runtime | None = None) -> Path:
    """Write report.html into the work folder: how good each step is, and a gallery to find the bad masks in.

    One page that needs no network, with the table of the steps, losses, classes and a gallery, worst masks first.
    Of a large collection the gallery shows a part, and says so.

    Args:
        work: Work folder with finished masks.
        data: The collection, if it has moved since; null: where it was.
        most: Images in the gallery at most: those with ground truth first, then the most doubtful. The page holds all
            their pictures, about 25 kB for each.
        runtime: how to compute.

    Returns:
        The page's path.

    Raises:
        InputError: the folder has no finished masks, the collection is not where it was, or ``most`` is negative.
    """
    if most < 0:
        raise InputError(f"--most {most}: give how many images the gallery shows at most, 0 or more")
    runtime = runtime or Runtime(alone=True)
    finished = open_finished(work, data)
    folder, collection = finished.folder, finished.collection
    present = _present(finished)
    shown = _worth_showing(folder, present, most)
    cards = _cards(finished, shown, runtime)
    partial = _partial(len(shown), len(present))
    if partial:
        runtime.progress.say(f"report: {partial}")
    metrics = read_metrics(folder.metrics_file)
    stages = folder.records()
    page = _template().render(
        title=collection.root.resolve().name,
        images=len(present),
        partial=partial,
        classes=collection.classes,
        splits=list(dict.fromkeys(split for split, _ in shown)),
        network=finished.config.network,
        seconds=_duration(sum(record.seconds for record in stages.values())),
        metrics=metrics,
        measured_steps=steps_of(metrics),
        class_bars={split: _class_bars(steps) for split, steps in metrics.items()},
        confusions={split: _confusion(steps, collection.classes) for split, steps in metrics.items()},
        understood=_understood(folder),
        said=_said(folder, finished.config),
        left_out=folder.left_out(),
        stages=stages,
        charts=_charts(folder),
        config=folder.config_file.read_text(encoding="utf-8"),
        kinds=KINDS,
        cards=_json({"kinds": KINDS, "images": [_facts(card) for card in cards]}),
        pictures=[_pictures(card) for card in cards],
        style=_resource("page.css"),
        script=_resource("page.js"),
        truth_remarks=[truth_remark(split, next(iter(steps.values()))) for split, steps in metrics.items()],
        percent=lambda value: "-" if value != value else f"{100 * value:.1f}",
    )
    path = folder.root / "report.html"
    write_text(path, page)
    return path


def _understood(folder: WorkFolder) -> Summary | None:
    """Return what was understood of the collection; earlier versions did not keep that."""
    facts = read_facts(folder.collection_file)
    return None if facts is None else summarise(facts)


def _said(folder: WorkFolder, config: PipelineConfig) -> list[tuple[str, str, list[str]]]:
    """Return (anchor, heading, lines) of what the run has found out of the collection, as it was said at the time."""
    learnt, plan = read_learnt(folder.classifier_file), (line for line in folder.plan() if holds(config, line))
    advice = folder.advice_file.read_text(encoding="utf-8").splitlines() if folder.advice_file.exists() else []
    return [
        ("help", "What would help most?", advice),
        ("learnt", "Was each class learnt from the tags?", learnt.lines() if learnt else []),
        ("plan", "What was decided for this collection, and why?", lines_of(plan)),
    ]


def _present(finished: Finished) -> list[tuple[str, TaggedImage]]:
    """Return the images that have masks, each with the first of the splits that it is in."""
    collection = finished.collection
    splits = dict.fromkeys((finished.split, *collection.evaluation_splits))
    chosen: dict[str, tuple[str, TaggedImage]] = {}
    for split in reversed(splits):
        chosen |= {record.name: (split, record) for record in collection.split(split)}
    return [pair for pair in chosen.values() if pair[1].name in finished.folder.masks]


def _worth_showing(
    folder: WorkFolder, present: Sequence[tuple[str, TaggedImage]], most: int
) -> list[tuple[str, TaggedImage]]:
    """Return at most so many images, those with ground truth first, then the most doubtful."""
    from affinitynet.pipeline.doubts import read_doubts

    doubts = read_doubts(folder)

    def rank(pair: tuple[str, TaggedImage]) -> tuple[bool, float, str]:
        record = pair[1]
        return record.truth is None, -doubts.get(record.name, (0.0, 0.0))[0], record.name

    return sorted(present, key=rank)[:most]


def _partial(shown: int, present: int) -> str:
    """Say which images the gallery shows, if these are not all."""
    if shown == present:
        return ""
    return (
        f"the gallery shows {shown:,} of {present:,} images: those with ground truth first, then the most doubtful; "
        "--most changes how many"
    )


def _cards(finished: Finished, shown: Sequence[tuple[str, TaggedImage]], runtime: Runtime) -> list[Card]:
    from affinitynet.tools.report.cards import FEW_IMAGES, SIDE_OF_FEW, SIDE_OF_MANY, make_card

    folder, collection = finished.folder, finished.collection
    side = SIDE_OF_FEW if len(shown) <= FEW_IMAGES else SIDE_OF_MANY
    found: dict[str, Card] = {}

    def make(pair: tuple[str, TaggedImage]) -> None:
        split, record = pair
        found[record.name] = make_card(folder, collection, split, record, side, given(finished.config.masks.alpha))

    runtime.for_each_image("report", make, shown)
    return [found[name] for name in sorted(found)]


def _facts(card: Card) -> dict[str, Any]:
    iou = None if card.iou is None else round(card.iou, 4)
    return {"name": card.name, "split": card.split, "tags": card.tags, "iou": iou, "doubt": round(card.doubt, 4)}


def _pictures(card: Card) -> str:
    return "\n".join([card.photo, *(card.layers.get(str(kind["id"]), "") for kind in KINDS)])


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element that contains it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _masks_of(steps: dict[str, StepMetrics]) -> StepMetrics:
    """Return the metrics of the masks themselves: the last step except the network trained on them."""
    return next(found for step, found in reversed(steps.items()) if step != SEGMENTER)


def _class_bars(steps: dict[str, StepMetrics]) -> list[tuple[str, float]]:
    """Return the IoU of each class in the masks, without classes that do not occur."""
    last = _masks_of(steps)
    return [(name, value) for name, value in last.iou.items() if value == value]


def _confusion(steps: dict[str, StepMetrics], classes: Sequence[str]) -> dict[str, list]:
    """Return names and rows, as shares of the true class, of the classes that occur."""
    matrix = _masks_of(steps).confusion
    names = ("background", *classes)
    used = [i for i in range(len(names)) if sum(matrix[i]) or any(row[i] for row in matrix)]
    rows = [[matrix[i][j] / max(1, sum(matrix[i])) for j in used] for i in used]
    return {"names": [names[i] for i in used], "rows": rows}


def _charts(folder: WorkFolder) -> dict[str, str]:
    charts = {}
    for network in ("classifier", "affinity", "irnet", "segmenter"):
        path = folder.losses(network)
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                losses = [float(row["loss"]) for row in csv.DictReader(file)]
            charts[f"train-{network}"] = loss_chart(f"loss of train-{network}", losses)
    return charts


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _resource(name: str) -> str:
    return (resources.files("affinitynet.tools.report") / name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_resource("page.html.j2"))
