"""Damage the files that readers read, at random: each has to be read, or refused in one line.

    python -m tests.support.fuzz [--inputs 100000] [--seed 0] [--readers NAME ...]

Part of ``make torture``; ``test_fuzz.py`` is its short form. Every input is a good file with some bytes
changed, cut, doubled or replaced by numbers and words that break things.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from affinitynet.config.config_file import read_config, read_yaml, to_dict
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.activation_maps import Notes, read_score_maps
from affinitynet.data.collection import open_collection
from affinitynet.data.facts import (
    Cases,
    ClassFacts,
    CollectionFacts,
    ImageSizes,
    MaskFacts,
    Pair,
    SplitFacts,
    read_facts,
    write_facts,
)
from affinitynet.data.images import load_image
from affinitynet.data.layouts.voc_annotations import AnnotatedBoxes
from affinitynet.data.masks import load_mask
from affinitynet.data.summary import summarise
from affinitynet.errors import InputError, LeftOut, Remark
from affinitynet.files import load_arrays
from affinitynet.models.weights.files import read_weight_file
from affinitynet.tools.review.actions import read_action
from affinitynet.tools.review.server import asked
from affinitynet.tools.review.steps import load_steps
from affinitynet.work.folder import WorkFolder, save_left_out
from tests.data.test_activation_maps import CLASSES, SIZE
from tests.support import annotated
from tests.support.bad_files import good_folder
from tests.support.deep import heic
from tests.support.good_files import (
    annotations,
    arrays,
    dicoms,
    json_tables,
    maps_of_others,
    masks,
    objects,
    of_workbook,
    pictures,
    repacked,
    requests,
    reviewed,
    tables,
    weights,
    workbook,
)
from tests.support.worlds import tiny_voc

BREAKERS = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"-1",
    b"9" * 30,
    b"nan",
    b"../",
    b"\n",
    b'"',
    b"[[[[",
    b"\xed\xa0\x80",
)
"""Bytes that are put into files: extreme numbers, ends of things, ways out of folders."""

SLOWEST = 10.0  # CPU seconds that a small file may take

Read = Callable[[Path], object]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a copy with one to eight changes."""
    made = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(made) + 1)
        kind = draw.randrange(5)
        if kind == 0 and made:
            made[place % len(made)] = draw.randrange(256)
        elif kind == 1:
            made[place : place + draw.randint(0, 16)] = b""
        elif kind == 2:
            made[place:place] = draw.choice(BREAKERS)
        elif kind == 3:
            breaker = draw.choice(BREAKERS)
            made[place : place + len(breaker)] = breaker
        elif draw.random() < 0.3:
            del made[place:]
        else:
            made[place:place] = made[place : place + draw.randint(1, 64)]
    return bytes(made)


def activation_maps(path: Path) -> object:
    return read_score_maps(path, (1, 3), CLASSES, SIZE, Notes())


class Reader:
    """What reads one kind of file.

    Args:
        name: of the kind.
        seeds: good files.
        folder: to work in.
        target: the file to damage, below it.
        read: reads it.
    """

    def __init__(self, name: str, seeds: list[bytes], target: Path, read: Read) -> None:
        self.name, self.seeds, self.target, self.read = name, seeds, target, read


def facts() -> CollectionFacts:
    """Return what might be known of a collection."""
    return CollectionFacts(
        folder="data",
        split="train",
        splits=(SplitFacts("train", 9, 3, trained=True, shared=9), SplitFacts("val", 3, 3, measured=True)),
        classes=(ClassFacts("cat", 9, 1, 2, 300, 0.5), ClassFacts("dog", 5)),
        images=12,
        training_images=9,
        pairs=(Pair("cat", "dog", 5),),
        kinds={"8-bit RGB JPEG": 12},
        sizes=ImageSizes((3, 4), (30, 40), (300, 5000), small=Cases(1, "a")),
        masks=MaskFacts(6, 100, 20, missing=Cases(1, "a (cat)")),
        passed_over=(Cases(1, "a.txt", "not an image (.txt)"),),
        remarks=(Remark("taken", "something"), Remark("warning", "something else")),
    )


def described(path: Path) -> object:
    """Read what is known of a collection, and say it."""
    found = read_facts(path)
    return found and summarise(found).lines()


def asked_of_review(path: Path) -> object:
    """Read what a browser sends to the review."""
    found = asked(path.read_bytes())
    return None if found is None else read_action(found[2], ["cat", "dog"], (16, 24))


def readers(folder: Path) -> dict[str, Reader]:
    """Return every reader, each with a folder of its own to work in."""
    table, tree, voc = (folder / name for name in ("table", "tree", "voc"))
    good_folder(table)
    good_folder(tree)
    (tree / "tags.csv").unlink()
    (tree / "tags.json").write_text(json.dumps({f"{name}.png": ["cat", "dog"] for name in "abcdef"}), encoding="utf-8")
    (table / "splits").mkdir()
    (table / "splits" / "train.txt").write_text("a.png\nb\n", encoding="utf-8")
    tiny_voc(voc)
    work = WorkFolder(folder / "work")
    work.instances.path("a").parent.mkdir(parents=True)
    save_left_out(work.left_out_file, [LeftOut("a", "image", 'some "reason"'), LeftOut("b", "row", "another")])
    write_facts(work.collection_file, facts())
    config = json.dumps(to_dict(PipelineConfig())).encode()
    said = work.corrections
    said.root.mkdir()

    def dataset(root: Path) -> Read:
        return lambda _: open_collection(root, on_error="skip")

    def annotated_at(root: Path) -> Read:
        return lambda _: annotated.read_all(root)

    def of(target: Path) -> list[bytes]:
        return [target.read_bytes()]

    def named(path: Path) -> object:
        return open_collection(table, on_error="skip", tags=path)

    book = workbook()

    def inside(name: str) -> Reader:
        """Return the reader of a file inside a workbook."""
        sheets = folder / Path(name).stem
        good_folder(sheets)
        (sheets / "tags.csv").unlink()

        def read(path: Path) -> object:
            (sheets / "tags.xlsx").write_bytes(repacked(book, name, path.read_bytes()))
            return open_collection(sheets, on_error="skip")

        return Reader(Path(name).stem, of_workbook(book, name), folder / f"inside {Path(name).name}", read)

    lists = voc / "ImageSets" / "Segmentation"
    found = [
        Reader("images", pictures(), folder / "image.png", load_image),
        *([Reader("DICOM", dicoms(), folder / "image.dcm", load_image)] if find_spec("pydicom") else []),
        *([Reader("HEIC", [heic((24, 16))], folder / "image.heic", load_image)] if find_spec("pillow_heif") else []),
        Reader("masks", masks(), folder / "mask.png", lambda path: load_mask(path, (16, 24))),
        Reader("tags.csv", of(table / "tags.csv"), table / "tags.csv", dataset(table)),
        Reader(
            "tables", tables(), table / "tables.csv", lambda path: open_collection(table, on_error="skip", tags=path)
        ),
        Reader(
            "JSON tables",
            json_tables(),
            table / "j.json",
            lambda path: open_collection(table, on_error="skip", tags=path),
        ),
        Reader("tags.xlsx", [book], table / "t.xlsx", lambda path: open_collection(table, on_error="skip", tags=path)),
        inside("xl/worksheets/sheet1.xml"),
        inside("xl/sharedStrings.xml"),
        inside("xl/workbook.xml"),
        Reader("splits", of(table / "splits" / "train.txt"), table / "splits" / "train.txt", dataset(table)),
        Reader("tags.json", of(tree / "tags.json"), tree / "tags.json", dataset(tree)),
        Reader("annotations", annotations(), voc / "Annotations" / "2007_1.xml", dataset(voc)),
        Reader("boxes", annotations(), folder / "b.xml", lambda path: AnnotatedBoxes(path).boxes()),
        Reader("VOC lists", of(lists / "train_aug.txt"), lists / "train_aug.txt", dataset(voc)),
        Reader(
            "configs",
            [b"seed: 1\nwalk: {beta: 4, alphas: [1.0, 4]}\nclasses: [a, 'b']\n"],
            folder / "c.yaml",
            read_yaml,
        ),
        Reader("settings", [config], folder / "s.yaml", lambda path: read_config(path, PipelineConfig())),
        Reader("arrays", arrays(), folder / "a.npz", load_arrays),
        Reader("instances", objects(), work.instances.path("a"), lambda _: work.instances.load("a")),
        Reader(
            "corrections",
            reviewed(),
            work.corrections.file("a"),
            lambda _: load_steps(work.corrections, "a", ("cat",), ("cat",)),
        ),
        Reader("review's requests", requests(), folder / "request.json", asked_of_review),
        Reader("left_out.csv", of(work.left_out_file), work.left_out_file, lambda _: work.left_out()),
        Reader("collection.json", of(work.collection_file), work.collection_file, described),
        Reader("weights", weights(), folder / "weights.bin", read_weight_file),
        Reader("maps.npy", maps_of_others(".npy"), folder / "m.npy", activation_maps),
        Reader("maps.npz", maps_of_others(".npz"), folder / "m.npz", activation_maps),
    ]
    for name, write in annotated.WRITERS.items():
        root = folder / name
        root.mkdir()
        target = write(root)
        found.append(Reader(name, of(target), target, annotated_at(root)))
    labels = folder / "YOLO" / "labels" / "train" / "a.txt"
    found.append(Reader("YOLO labels", of(labels), labels, annotated_at(folder / "YOLO")))
    return {reader.name: reader for reader in found}


def fuzz(name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Give a reader damaged files; return how they ended, and the errors that were no lines to read."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    draw = random.Random(f"{name} {seed}")
    read = refused = 0
    slowest, crashes = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        reader = readers(Path(folder))[name]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(inputs):
            content = damaged(draw.choice(reader.seeds), draw)
            reader.target.write_bytes(content)
            start = time.process_time()
            try:
                reader.read(reader.target)
                read += 1
            except InputError as error:
                refused += 1
                if "\n" in str(error):
                    crashes.append(f"two lines: {error!r} {content!r}")
            except Exception as error:
                crashes.append(f"{type(error).__name__}: {error} {content!r}")
            slowest = max(slowest, time.process_time() - start)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    if slowest > SLOWEST:
        crashes.append(f"one took {slowest:.1f} s of CPU time")
    return {"reader": name, "read": read, "refused": refused, "crashes": crashes, "slowest": slowest, "grown": grown}


def main() -> int:
    """Fuzz the readers, two at a time; print a table."""
    with tempfile.TemporaryDirectory() as folder:
        known = list(readers(Path(folder)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", choices=known, default=known)
    parser.add_argument("--shown", type=int, default=3, help="crashes to print in full")
    given = parser.parse_args()
    print("| reader | inputs | read | refused in a line | crashes | slowest, CPU s | memory grown by, MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    crashed = 0
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        jobs = [pool.apply_async(fuzz, (name, given.inputs, given.seed)) for name in given.readers]
        for job in jobs:
            found = job.get()
            crashed += len(found["crashes"])
            numbers = (
                found["read"],
                found["refused"],
                len(found["crashes"]),
                f"{found['slowest']:.2f}",
                found["grown"],
            )
            print(f"| {found['reader']} | {given.inputs} | " + " | ".join(map(str, numbers)) + " |", flush=True)
            for crash in found["crashes"][: given.shown]:
                print(crash[:2000], flush=True)
    return int(crashed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
