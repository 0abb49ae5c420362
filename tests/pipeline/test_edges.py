"""The smallest and the oddest collections go through every stage, or are refused at the start."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_pipeline
from tests.support.worlds import QUICK, plain_folder

pytestmark = pytest.mark.first

MANY = ";".join(f"class {i}" for i in range(250))


@pytest.mark.parametrize(
    ("tags", "count"),
    [
        ("file,tags\na.png,cat\nb.png,dog\n", 2),
        ("file,tags\na.png,cat\nb.png,cat\nc.png,cat\n", 3),
        ("file,cat,never\na.png,1,0\nb.png,1,0\nc.png,0,0\n", 3),
        ("file,tags\na.png,cat\n", 1),
        (f"file,tags\na.png,{MANY}\nb.png,class 3\n", 2),
        ("file,tags\na.png,cat\nb.png,\nc.png,\nd.png,\n", 4),
    ],
    ids=["two", "one class", "a class never tagged", "one image", "250 classes", "mostly background"],
)
def test_they_go_through(tags, count, tmp_path):
    data = plain_folder(tmp_path / "data", tags, count)
    run_pipeline(data, tmp_path / "work", QUICK, workers=1)
    masks = sorted((tmp_path / "work" / "masks").iterdir())
    assert len(masks) == count
    classes = max(len(row.split(";")) for row in tags.splitlines())
    assert all(np.asarray(Image.open(mask)).max() <= max(classes, 2) for mask in masks)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (20_000, 8)])
def test_pictures_of_odd_sizes_go_through(size, tmp_path):
    data = plain_folder(tmp_path / "data", "file,tags\na.png,cat\nb.png,dog\nc.png,cat\n", 3)
    Image.effect_noise(size, 90).convert("RGB").save(data / "c.png")
    run_pipeline(data, tmp_path / "work", replace(QUICK, longest_side=256), workers=1)
    assert Image.open(tmp_path / "work" / "masks" / "c.png").size == size


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ("file,tags\na.png,\nb.png,\n", "no image has any tag"),
        (
            "file,tags\na.png," + ";".join(f"class {i}" for i in range(500)) + "\n",
            "500 classes; an 8-bit mask has room for 254",
        ),
    ],
    ids=["background alone", "500 classes"],
)
def test_what_cannot_work_is_refused_at_once(tags, says, tmp_path):
    data = plain_folder(tmp_path / "data", tags)
    with pytest.raises(InputError, match=says):
        run_pipeline(data, tmp_path / "work", QUICK, workers=1)
    assert not (tmp_path / "work").exists()
