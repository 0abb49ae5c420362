"""Activation maps of other methods, in every form in which they write them."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from affinitynet.data.activation_maps import Notes, check_maps, find_maps, read_score_maps
from affinitynet.errors import InputError
from affinitynet.records import TaggedImage

CLASSES = ("bird", "cat", "cow", "dog")
SIZE = (8, 12)
MAPS = {1: np.random.default_rng(1).random(SIZE, np.float32), 3: np.random.default_rng(3).random(SIZE, np.float32)}
STACK = np.stack(list(MAPS.values()))
ALL = np.zeros((4, *SIZE), np.float32)
ALL[[1, 3]] = STACK


def as_npy(value) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


def as_npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


STRIDED = torch.rand(2, 2, 3)
IRNET = {"keys": torch.tensor([1, 3]), "cam": STRIDED, "high_res": STACK}
FORMS = {
    "SEAM, psa, MCTformer": (".npy", as_npy(MAPS)),
    "IRNet, ReCAM": (".npy", as_npy(IRNET)),
    "IRNet, as arrays": (".npy", as_npy({**IRNET, "keys": np.array([1, 3]), "cam": STRIDED.numpy()})),
    "numbers of numpy": (".npy", as_npy({np.int64(1): MAPS[1], np.int32(3): MAPS[3]})),
    "tensors": (".npy", as_npy({number: torch.from_numpy(values) for number, values in MAPS.items()})),
    "an axis too many": (".npy", as_npy({number: values[None] for number, values in MAPS.items()})),
    "class names": (".npy", as_npy({"cat": MAPS[1], "dog": MAPS[3]})),
    "ours": (".npz", as_npz(classes=np.array([1, 3]), scores=STACK)),
    "npz by number": (".npz", as_npz(**{"1": MAPS[1], "3": MAPS[3]})),
    "npz by class name": (".npz", as_npz(cat=MAPS[1], dog=MAPS[3])),
    "npz of a dictionary": (".npz", as_npz(arr_0=np.array(MAPS, dtype=object))),
    "npz of an array": (".npz", as_npz(arr_0=STACK)),
    "all classes": (".npy", as_npy(ALL)),
    "the tags in order": (".npy", as_npy(STACK)),
    "double": (".npy", as_npy({number: values.astype(np.float64) for number, values in MAPS.items()})),
}


def read(path: Path, content: bytes, tags=(1, 3), size=SIZE):
    path.write_bytes(content)
    notes = Notes()
    return read_score_maps(path, tags, CLASSES, size, notes), notes.lines()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_maps(form, tmp_path, monkeypatch):
    def no_unpickling(*_, **__):
        raise AssertionError("unpickled")

    suffix, content = FORMS[form]
    monkeypatch.setattr(pickle, "load", no_unpickling)
    monkeypatch.setattr(pickle, "loads", no_unpickling)
    found, said = read(tmp_path / f"a{suffix}", content)
    assert found.classes == (1, 3)
    np.testing.assert_array_equal(found.scores.numpy(), STACK)
    assert said == []


def test_smaller_maps_are_enlarged(tmp_path):
    small = torch.rand(2, 4, 6)
    found, said = read(tmp_path / "a.npy", as_npy({"keys": torch.tensor([1, 3]), "cam": small}))
    expected = F.interpolate(small[None], SIZE, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found.scores, expected)
    assert said == []


def test_what_is_read_tolerantly_is_said(tmp_path):
    found, said = read(tmp_path / "a.npy", as_npy({1: MAPS[1] * 20 - 5, 0: MAPS[3]}))
    assert float(found.scores.max()) == 1
    assert float(found.scores.min()) == 0
    assert not found.scores[1].any()
    assert said == [
        "1 maps of classes that are not tags, dropped, e.g. class 0 in a.npy",
        "1 maps with negative values, set to 0, e.g. a.npy",
        "1 maps above 1, divided by their maximum, e.g. a.npy",
        "1 tags without a map, which get no seeds, e.g. dog in a.npy",
    ]
    _, said = read(tmp_path / "a.npy", as_npy({1: np.ones((12, 8)), 3: np.ones((12, 8))}))
    assert said == ["2 maps whose shape is not their image's, stretched, e.g. a.npy"]


@pytest.mark.parametrize(
    "value",
    [
        {1: np.full(SIZE, np.nan)},
        {1: "a text"},
        {"unicorn": MAPS[1]},
        {1.5: MAPS[1]},
        {1: np.ones(5)},
        np.ones((3, *SIZE)),
        np.ones(5),
        {"keys": [1, 3], "cam": np.ones((3, 2, 2))},
        {1: slice(3)},
        [MAPS[1], None],
    ],
    ids=lambda value: str(value)[:30].replace("\n", ""),
)
def test_what_are_no_maps_is_refused_in_a_line(value, tmp_path):
    content = as_npy(value) if isinstance(value, np.ndarray) else as_npy(np.array(value, dtype=object))
    with pytest.raises(InputError, match=r"a\.npy: no activation maps") as refused:
        read(tmp_path / "a.npy", content)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"text", as_npy(MAPS)[:200], as_npz(arr_0=STACK)[:300]])
def test_damaged_files_are_refused_in_a_line(name, content, tmp_path):
    with pytest.raises(InputError, match="no activation maps"):
        read(tmp_path / name, content)


def records(*names: str) -> list[TaggedImage]:
    return [TaggedImage(name, Path(f"{name}.jpg"), (1,)) for name in names]


def test_files_are_found_by_name_or_by_file_name(tmp_path):
    (tmp_path / "beach").mkdir()
    for name in ("beach/a.npy", "b.npz", "c.jpg.npy", "twice.npy"):
        (tmp_path / name).touch()
    found = find_maps(tmp_path, records("beach/a", "sub/b", "c", "x/twice", "y/twice"))
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()} == {
        "beach/a": "beach/a.npy",
        "sub/b": "b.npz",
        "c": "c.jpg.npy",
    }


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_maps(tmp_path / "absent", [])
    with pytest.raises(InputError, match=r"holds no \.npy or \.npz file"):
        check_maps(tmp_path, records("img_1"))
    (tmp_path / "img-1.npy").touch()
    (tmp_path / "img_2.npy").touch()
    with pytest.raises(InputError, match=r"no maps of 1 of 2 images, e\.g\. img_1\.npy \(the nearest is img-1\.npy\)"):
        check_maps(tmp_path, records("img_1", "img_2"))
    check_maps(tmp_path, [*records("img_2"), TaggedImage("negative", Path("negative.jpg"))])
