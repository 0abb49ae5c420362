"""Every format that is exported is a collection again, with the same tags and masks."""

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.data.collection import open_collection
from affinitynet.tools.export.registry import FORMATS
from tests.support.worlds import copied


@pytest.fixture(scope="module")
def work(world, finished, tmp_path_factory):
    """A finished work folder, whose masks are the exact ones."""
    work = copied(finished, tmp_path_factory.mktemp("export") / "work")
    for mask in (world / "masks").iterdir():
        (work / "masks" / mask.name).write_bytes(mask.read_bytes())
    return work


@pytest.mark.parametrize("form", FORMATS)
def test_tags_and_masks_are_the_same(world, work, form, tmp_path):
    assert main(["export", "--work", str(work), "--format", form, "--out", str(tmp_path / "out")]) == 0
    before, after = open_collection(world), open_collection(tmp_path / "out")
    expected = {r.name: r for split in ("train", "val") for r in before.split(split)}
    seen = set()
    for split in ("train", "val"):
        for record in after.split(split):
            name = record.name.rpartition("/")[2]
            twin = expected[name]
            assert {after.classes[t] for t in record.tags} == {before.classes[t] for t in twin.tags}
            new = np.array([0, *(before.classes.index(c) + 1 for c in after.classes)], np.uint8)
            assert (new[after.mask(record)] == before.mask(twin)).all()
            seen.add(name)
    assert seen == set(expected)
    assert set(after.evaluation_splits) == {"train", "val"}
    assert after.left_out == ()
