"""The commands beside the pipeline: what one does with a finished work folder, and with weight files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from affinitynet.cli.tables import audit_table, class_table, tuning_table, tuning_verdict
from affinitynet.errors import LeftOut, OnError
from affinitynet.runtime.progress import Progress

PREDICT_HELP = "label images without tags, by the segmentation network"
TUNE_HELP = "choose alpha (and beta, t) by the ground-truth masks there are, ten are enough to begin with"
AUDIT_HELP = "list the tags that the classifier contradicts, most suspicious first"
MEASURE_HELP = "measure any folder of masks against a data set's ground truth"
REPORT_HELP = "write report.html: how good each step is, and a gallery to find the bad masks in"
EXPORT_HELP = "write images and masks as the tool that uses them next reads them: VOC, COCO, YOLO, Hugging Face"
CONVERT_HELP = "write weights of any origin as safetensors and say what was matched"
LEFT_OUT_SHOWN = 10


@dataclass(frozen=True)
class Tool:
    """A command: what it says of itself, its flags, and what it does (arguments, console) -> exit code."""

    help: str
    parser: Callable[[], ArgumentParser]
    run: Callable[[Namespace, Console], int]


def add_computing(parser: ArgumentParser, force: bool = False) -> None:
    """Add the flags that do not change the result."""
    device = "Where to compute; auto: a GPU if there is one."
    parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help=device)
    workers = "Images in work at the same time; null: one per core."
    parser.add_argument("--workers", type=int | None, default=None, help=workers)
    if force:
        again = "Make again what the work folder holds under other settings."
        parser.add_argument("--force", action="store_true", help=again)


def names_of(text: str | None) -> tuple[str, ...] | None:
    """Split the value of --classes."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


def tell_left_out(left_out: Sequence[LeftOut], table: Path) -> int:
    """Say on stderr what was left out, if anything was, and return the exit code that tells it."""
    if not left_out:
        return 0
    for left in left_out[:LEFT_OUT_SHOWN]:
        print(f"affinitynet: left out: {left.reason}", file=sys.stderr)
    more = f", {len(left_out) - LEFT_OUT_SHOWN} more in it" if len(left_out) > LEFT_OUT_SHOWN else ""
    print(f"affinitynet: {len(left_out)} left out ({table}{more}); the rest is done", file=sys.stderr)
    return 3


def _predict_parser() -> ArgumentParser:
    usage = "affinitynet predict IMAGE|FOLDER ... --out DIR --model WORK|FILE [--SETTING VALUE ...]"
    parser = ArgumentParser(exit_on_error=False, usage=usage)
    parser.description = (
        "Label images without tags, by the segmentation network that the masks trained. (Images with tags are labelled "
        "better by make-masks.) Masks that exist are left alone, so that the same command continues."
    )
    parser.add_argument("sources", nargs="+", help="Image files, and folders that are searched through.")
    parser.add_argument("-o", "--out", type=str, required=True, help="Where masks/NAME.png go, with their sub-folders.")
    model = "A work folder with a segmentation network, or its .safetensors file."
    parser.add_argument("--model", type=str, required=True, help=model)
    overlays = "Also write overlays/NAME.jpg: the image with its mask laid over."
    parser.add_argument("--overlays", action="store_true", help=overlays)
    scores = "Also write scores/NAME.npz: probabilities float16 [C + 1, h, w], background first."
    parser.add_argument("--scores", action="store_true", help=scores)
    on_error = "What an image does that cannot be read: it is left out and listed in left_out.csv, or everything stops."
    parser.add_argument("--on_error", type=OnError, default="skip", help=on_error)
    add_computing(parser)
    return parser


def _predict(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.predict import predict_images

    count, left_out = predict_images(
        [Path(source) for source in values.sources],
        Path(values.out),
        Path(values.model),
        overlays=values.overlays,
        scores=values.scores,
        on_error=values.on_error,
        runtime=Runtime.start(values.device, values.workers, Progress(console=console)),
    )
    print(f"{count} images labelled: {Path(values.out) / 'masks'}")
    return tell_left_out(left_out, Path(values.out) / "left_out.csv")


def _tune_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, usage="affinitynet tune --work DIR [--SETTING VALUE ...]")
    parser.description = (
        f"{TUNE_HELP[0].upper()}{TUNE_HELP[1:]}. The choice is written to the work folder's config.yaml and the "
        "masks are made again with it."
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    on = "Split whose masks to measure on; null: the first that has any. Confirm on another one."
    parser.add_argument("--on", type=str | None, default=None, help=on)
    betas = "Exponents of the affinities to try too; each walks again, about 0.2 s an image."
    parser.add_argument("--betas", type=tuple[float, ...], default=(), help=betas)
    steps = "Lengths t of the walk to try too, with each beta."
    parser.add_argument("--steps", type=tuple[int, ...], default=(), help=steps)
    add_computing(parser)
    return parser


def _tune(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.tune import tune_masks

    tuning = tune_masks(
        values.work,
        data=values.data,
        split=values.on,
        betas=values.betas,
        steps=values.steps,
        runtime=Runtime.start(values.device, values.workers, Progress(Path(values.work) / "log.txt", console)),
    )
    Console().print(tuning_table(tuning))
    print(tuning_verdict(tuning))
    return 0


def _audit_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, usage="affinitynet audit-tags --work DIR [--SETTING VALUE ...]")
    parser.description = (
        "List the tags of the training images that the trained classifier contradicts, missing and wrong ones, most "
        "suspicious first; all go to audit.csv in the work folder. Look before you change one: a classifier errs, too."
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder with a trained classifier.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    parser.add_argument("--top", type=int, default=20, help="How many to print.")
    add_computing(parser)
    return parser


def _audit(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.audit_tags import audit_tags

    suspicions = audit_tags(
        values.work,
        values.data,
        runtime=Runtime.start(values.device, values.workers, Progress(console=console)),
    )
    Console().print(audit_table(suspicions[: values.top]))
    print(f"{len(suspicions)} suspicious tags: {Path(values.work) / 'audit.csv'}")
    return 0


def _measure_parser() -> ArgumentParser:
    usage = "affinitynet evaluate-masks --masks DIR --data DIR [--split NAME] [--out DIR]"
    parser = ArgumentParser(exit_on_error=False, usage=usage)
    parser.description = (
        "Measure a folder of masks, from wherever they are, against a data set's ground truth: IoU, precision and "
        "recall of each class. Every image of the split needs its NAME.png."
    )
    masks = "Folder of NAME.png, 8 bit: 0 background, class + 1."
    parser.add_argument("--masks", type=str, required=True, help=masks)
    parser.add_argument("--data", type=str, required=True, help="Data set with ground-truth masks.")
    split = "Split to measure; null: all that have ground truth."
    parser.add_argument("--split", type=str | None, default=None, help=split)
    classes = "Classes to measure, separated by commas, in the order of their mask values; null: all."
    parser.add_argument("--classes", type=str | None, default=None, help=classes)
    out = "Folder to write metrics.json and metrics.csv to; null: only print."
    parser.add_argument("--out", type=str | None, default=None, help=out)
    parser.add_argument("--workers", type=int | None, default=None, help="Masks in work at the same time.")
    return parser


def _measure(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.evaluate_masks import measure_masks
    from affinitynet.work.metrics import write_metrics

    found = measure_masks(
        values.masks,
        values.data,
        split=values.split,
        classes=names_of(values.classes),
        runtime=Runtime.alone("cpu", values.workers, Progress(console=console)),
    )
    metrics = {split: {"masks": measured} for split, measured in found.items()}
    for split, measured in found.items():
        Console().print(class_table(f"{split} ({measured['images']} images)", measured))
    if values.out is not None:
        write_metrics(Path(values.out) / "metrics.json", metrics)
        print(f"numbers: {Path(values.out) / 'metrics.json'}, metrics.csv")
    return 0


def _report_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, usage="affinitynet report --work DIR [--data DIR] [--workers N]")
    parser.description = (
        "Write report.html into the work folder: one page that needs no network, with the table of the steps, losses, "
        "classes and a gallery, worst masks first."
    )
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    workers = "Images in work at the same time; null: one per core."
    parser.add_argument("--workers", type=int | None, default=None, help=workers)
    return parser


def _report(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.report.report import write_report

    data = None if values.data is None else Path(values.data)
    path = write_report(Path(values.work), data, Runtime.alone("cpu", values.workers, Progress(console=console)))
    print(f"report: {path} ({path.stat().st_size / 2**20:.1f} MB)")
    return 0


def _export_parser() -> ArgumentParser:
    usage = "affinitynet export --work DIR --format FORMAT --out DIR [--data DIR]"
    parser = ArgumentParser(exit_on_error=False, usage=usage)
    parser.description = f"{EXPORT_HELP[0].upper()}{EXPORT_HELP[1:]}. CVAT and Label Studio import the COCO form."
    parser.add_argument("--work", type=str, required=True, help="Work folder with finished masks.")
    forms = "voc: palette PNGs; coco: run-length encoded; yolo: polygons; huggingface: imagefolder of `datasets`."
    parser.add_argument("--format", type=Literal["voc", "coco", "yolo", "huggingface"], required=True, help=forms)
    parser.add_argument("--out", type=str, required=True, help="A new folder to write to.")
    data = "The data set, where it has moved since; null: where it was."
    parser.add_argument("--data", type=str | None, default=None, help=data)
    return parser


def _export(values: Namespace, console: Console) -> int:
    from affinitynet.runtime.runtime import Runtime
    from affinitynet.tools.export.export import export_masks

    data = None if values.data is None else Path(values.data)
    count = export_masks(
        Path(values.work), Path(values.out), values.format, data, Runtime.alone("cpu", 1, Progress(console=console))
    )
    print(f"{count} images: {values.out}")
    return 0


def _convert_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.description = (
        "Write weights of any origin as safetensors: checkpoints of the released code (.pth), Caffe's .caffemodel, "
        "MXNet's .params, torchvision's VGG-16. The origin is recognised by the content."
    )
    parser.add_argument("source", help="The file to read.")
    parser.add_argument("target", help="The .safetensors file to write; must not exist.")
    classes = "Names of a classifier's classes, separated by commas; null: the file's own, or class 1, class 2 ..."
    parser.add_argument("--classes", type=str | None, default=None, help=classes)
    return parser


def _convert(values: Namespace, console: Console) -> int:
    from affinitynet.tools.convert_weights import convert_weights

    lines = convert_weights(Path(values.source), Path(values.target), names_of(values.classes))
    print("\n".join(lines))
    return 0


TOOLS = {
    "predict": Tool(PREDICT_HELP, _predict_parser, _predict),
    "tune": Tool(TUNE_HELP, _tune_parser, _tune),
    "audit-tags": Tool(AUDIT_HELP, _audit_parser, _audit),
    "evaluate-masks": Tool(MEASURE_HELP, _measure_parser, _measure),
    "report": Tool(REPORT_HELP, _report_parser, _report),
    "export": Tool(EXPORT_HELP, _export_parser, _export),
    "convert-weights": Tool(CONVERT_HELP, _convert_parser, _convert),
}
"""Name -> command, in the order of ``--help``."""
