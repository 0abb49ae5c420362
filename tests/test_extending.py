"""A layout, a backbone, an export, a stage, a command: each is added here by one file's content and one entry."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image
from torch import nn

from affinitynet.cli import main
from affinitynet.cli.commands import COMMANDS, Command
from affinitynet.config.config_file import to_dict
from affinitynet.data.collection import open_collection
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.registry import LAYOUTS
from affinitynet.errors import InputError
from affinitynet.files import write_text
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import BACKBONES
from affinitynet.models.classifier import TagClassifier
from affinitynet.records import TaggedImage
from affinitynet.tools.export.registry import FORMATS
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK


@pytest.fixture
def module(monkeypatch):
    """Return a function that makes a module of the package, as a new file in a room would."""

    def add(name, **content):
        made = ModuleType(f"affinitynet.{name}")
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, made.__name__, made)
        return made

    return add


def settings_file(path, **changes):
    path.write_text(yaml.safe_dump(to_dict(replace(QUICK, **changes))), encoding="utf-8")
    return str(path)


def test_a_layout(monkeypatch, module, tmp_path):
    """The first word of a file's name is its class."""
    (tmp_path / "animals").mkdir()
    for number, name in enumerate(("cat 1.png", "cat 2.png", "dog 3.png")):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "animals" / name)

    def recognise(folder):
        return folder if next(folder.glob("cat *.png"), None) else None

    def read(root, problems):
        paths = sorted(root.glob("*.png"))
        classes = tuple(sorted({path.stem.split()[0] for path in paths}))
        images = [TaggedImage(path.stem, path, (classes.index(path.stem.split()[0]),)) for path in paths]
        return Layout(classes, {"all": tuple(images)}, "all")

    with pytest.raises(InputError, match="there are 3 images, but nothing that says what is in them"):
        open_collection(tmp_path / "animals")
    layout = module("data.layouts.first_word", FORM="names that begin with their class", recognise=recognise, read=read)
    monkeypatch.setitem(LAYOUTS, "first word", layout)
    collection = open_collection(tmp_path / "animals")
    assert collection.classes == ("cat", "dog")
    assert [(r.name, r.tags) for r in collection.split("all")] == [("cat 1", (0,)), ("cat 2", (0,)), ("dog 3", (1,))]
    assert main(["check-data", "--data", str(tmp_path / "animals"), "--work", str(tmp_path / "work")]) == 0
    with pytest.raises(InputError, match=r"Layouts that are read: .*, names that begin with their class"):
        open_collection(tmp_path)


class Pooled(Backbone):
    """Two convolutions at stride 8."""

    mean = std = (0.5, 0.5, 0.5)
    channels, strides, reduced, groups = (8, 16), (8, 8), (8, 8), None

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 16, 1)
        self.frozen = []

    def load_imagenet(self):
        nn.init.constant_(self.second.weight, 0.25)

    def forward(self, x):
        first = self.first(x).relu()
        return first, self.second(first).relu()


def test_a_backbone(monkeypatch, world, tmp_path):
    monkeypatch.setitem(BACKBONES, "pooled", Pooled)
    segmenter = replace(QUICK.segmenter, architecture="LargeFOV", encoder="pooled")
    config = settings_file(tmp_path / "c.yaml", network="pooled", segmenter=segmenter)
    work = tmp_path / "work"
    assert main(["run", "--data", str(world), "--work", str(work), "--config", config, "--workers", "1"]) == 0
    assert [len(list((work / folder).iterdir())) for folder in ("masks", "segmented")] == [6, 2]
    backbone = TagClassifier.load(work / "classifier.safetensors").backbone
    assert isinstance(backbone, Pooled)
    assert abs(float(backbone.second.weight.detach().mean()) - 0.25) < 0.05  # its own weights, and little training


def test_an_export(monkeypatch, finished, tmp_path, capsys):
    def write_areas(labelled, target):
        lines = [f"{record.name} {np.count_nonzero(mask)}" for _, record, mask in labelled]
        write_text(target / "areas.txt", "\n".join(lines))

    arguments = ["export", "--work", str(finished), "--out", str(tmp_path / "out"), "--format", "areas"]
    assert main(arguments) == 2
    assert "--format areas: unknown format; known: voc, coco" in capsys.readouterr().err
    monkeypatch.setitem(FORMATS, "areas", write_areas)
    assert main(arguments) == 0
    areas = dict(line.split() for line in (tmp_path / "out" / "areas.txt").read_text().splitlines())
    assert set(areas) == {path.stem for path in (finished / "masks").iterdir()}


NEW_STAGE = """
import sys
from types import ModuleType

import numpy as np

from affinitynet.files import write_text
from affinitynet.pipeline import table


def count_pixels(context):
    lines = [f"{r.name} {np.count_nonzero(context.work.masks.load(r.name))}" for r in context.target_images]
    write_text(context.work.root / "areas.txt", "\\n".join(lines))


file = ModuleType("affinitynet.pipeline.stages.count_pixels")
file.count_pixels = count_pixels
sys.modules[file.__name__] = file
row = table.Stage("count-pixels", "count", ("make-masks",), (), "target", ("areas.txt",), shared=False)
table.STAGES = (*table.STAGES, row)

from affinitynet.cli import main

sys.exit(main(sys.argv[1:]))
"""
"""In a process of its own, in which the row is there before anything reads the table, as in the package."""


def test_a_stage(world, work):
    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", NEW_STAGE, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "count-pixels" in command("--help")
    arguments = ("count-pixels", "--data", world, "--work", work)
    command(*arguments)
    assert len((work / "areas.txt").read_text().splitlines()) == 6
    assert WorkFolder(work).records()["count-pixels"].finished
    assert "count-pixels: done before" in command("run", "--data", world, "--work", work)


def test_a_command(monkeypatch, module, finished, capsys):
    def count_masks(work: Path, *, at_least: int = 0):
        """Count the masks.

        Args:
            work: Work folder.
            at_least: Complain below this.
        """
        count = len(list((work / "masks").iterdir()))
        if count < at_least:
            raise InputError(f"--work {work}: {count} masks; run make-masks")
        return count

    def show(count, values):
        print(f"{count} masks")
        return 0

    module("tools.count_masks", count_masks=count_masks)
    row = Command("count-masks", "count", "tools.count_masks:count_masks", show, computing=(), alone=True)
    monkeypatch.setitem(COMMANDS, "count-masks", row)
    assert main(["count-masks", "--work", str(finished)]) == 0
    assert capsys.readouterr().out == "6 masks\n"
    assert main(["count-masks", "--work", str(finished), "--at-least", "7"]) == 2
    assert "6 masks; run make-masks" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "count-masks" in capsys.readouterr().out
