"""Pickles are read without being unpickled: plain data of every protocol, and nothing else."""

import collections
import io
import os
import pickle
import struct
from fractions import Fraction

import numpy as np
import pytest
import torch

from affinitynet.data import pickled
from affinitynet.data.pickled import NotPlainError, read_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def same(found, expected):
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return type(found) is type(expected) and all(map(same, found, expected)) and len(found) == len(expected)
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and found.shape == expected.shape and (found == expected).all()
    return type(found) is type(expected) and found == expected


VALUES = [
    None,
    True,
    0,
    -5,
    2**40,
    2**80,
    0.25,
    "text",
    "\u00e4\n",
    b"\x00\xff",
    [1, [2, "a"]],
    (1, 2, 3, 4),
    {"a": {"b": 1}},
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">f4"),
    {14: np.ones((2, 2), np.float16), 3: np.zeros((1, 5), np.uint8)},
    {"big": np.arange(3, dtype=">f4"), "small": np.arange(3, dtype="<f4")},
    np.array([True, False]),
    list(range(1000)),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:20])
def test_plain_data_of_every_protocol(value, protocol):
    assert same(read_plain(pickle.dumps(value, protocol)), value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_of_numpy_and_arrays_of_earlier_versions(protocol):
    stored = pickle.dumps({np.int64(7): np.float32(0.5), "again": np.ones(2)}, protocol)
    for content in (stored, stored.replace(b"numpy._core", b"numpy.core") if protocol < 4 else stored):
        found = read_plain(content)
        assert found[7] == 0.5
        assert (found["again"] == 1).all()


def test_arrays_that_python_2_wrote():
    """Its bytes are texts, and its keys may be long integers."""
    raw = np.array([1.0, 2.0], "<f4").tobytes()
    content = (
        b"\x80\x02}q\x00\x8a\x01\x0ecnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U" + struct.pack("B", len(raw)) + raw + b"tbs."
    )
    assert (pickle.loads(content, encoding="latin-1")[14] == [1, 2]).all()
    assert read_plain(content)[14].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_tensors_of_torch(protocol):
    maps = torch.rand(2, 3, 4)
    value = {
        "keys": torch.tensor([3, 11]),
        "cam": maps,
        "view": maps[:, 1:, ::2],
        "half": maps.half(),
        "none": maps[:0],
    }
    found = read_plain(pickle.dumps(value, protocol))
    for name, tensor in value.items():
        assert found[name].tolist() == tensor.tolist()


class Trap:
    """Runs something when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "trap",
    [
        Trap(os.system, "touch trapped"),
        Trap(eval, "open('trapped', 'w')"),
        Trap(getattr, np.ndarray, "tofile"),
        Fraction(1, 3),
        collections.Counter("ab"),
        np.array(["text"]),
        np.dtype([("a", "f4")]),
        print,
        np.ndarray,
    ],
    ids=lambda value: type(value).__name__ + str(value)[:20],
)
def test_anything_else_is_refused_and_not_run(trap, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotPlainError):
        read_plain(pickle.dumps({1: trap}, protocol))
    assert not list(tmp_path.iterdir())


def test_a_storage_of_a_tensor_runs_nothing_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = io.BytesIO()
    torch.save(Trap(os.system, "touch trapped"), inner, _use_new_zipfile_serialization=False)
    trap = Trap(torch.storage._load_from_bytes, inner.getvalue())
    with pytest.raises(NotPlainError, match="cannot be read"):
        read_plain(pickle.dumps(trap))
    assert not list(tmp_path.iterdir())


def test_damaged_pickles_are_refused_in_a_line(monkeypatch):
    whole = pickle.dumps({14: np.ones((4, 4), np.float32), "keys": [1, 2]})
    for end in range(0, len(whole) - 1, 3):
        with pytest.raises(NotPlainError) as refused:
            read_plain(whole[:end])
        assert "\n" not in str(refused.value)
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            spoilt[place] = rng.integers(256)
        try:
            read_plain(bytes(spoilt))
        except NotPlainError as refused:
            assert "\n" not in str(refused)  # noqa: PT017


def test_bombs_are_refused():
    endless: list = []
    endless.append(endless)
    laughs: list = ["ha"] * 10
    for _ in range(9):
        laughs = [laughs] * 10
    huge = pickle.dumps(np.zeros(4, np.uint8), 2).replace(b"K\x04\x85", b"\x8a\x05\x00\x00\x00\x00\x10\x85")
    for content in (pickle.dumps(endless), pickle.dumps(laughs), huge, pickle.dumps([0] * (pickled.LARGEST + 1))):
        with pytest.raises(NotPlainError):
            read_plain(content)
