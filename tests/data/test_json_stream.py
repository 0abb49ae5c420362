"""Pieces of JSON files against the json module, whatever the borders of what is read at once."""

import io
import json

import pytest

from affinitynet.data import json_stream
from affinitynet.data.json_stream import JsonStream
from affinitynet.errors import InputError

CONTENT = {
    "info": {"a": [1, {"b": "}"}]},
    "numbers": [1, 23456, -7.5e3, True, None],
    "empty": [],
    "objects": [{"x": 1}, {"y": 'quoted " and \\ and }'}, {"z": {"deep": [1, 2]}}, {"é": "ü {"}],
    "last": "ü",
}


def pieces(content, file=None):
    return {key: [p.value() for p in found] for key, found in JsonStream(file or io.BytesIO(content), "a.json")}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("options", [{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}])
def test_elements_are_those_of_the_json_module(chunk, options, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    expected = {key: value if isinstance(value, list) else [] for key, value in CONTENT.items()}
    content = json.dumps(CONTENT, **options).encode()
    assert pieces(content) == expected
    assert pieces(b"\xef\xbb\xbf" + content) == expected


def test_pieces_are_where_they_say():
    content = json.dumps(CONTENT, ensure_ascii=False).encode()
    for _, found in JsonStream(io.BytesIO(content), "a.json"):
        for piece in found:
            text = content[piece.start : piece.start + len(piece.text)]
            assert json.loads(text) == piece.value()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[1]", b"{", b'{"a": [1', b'{"a" 1}', b'{"a": [1 2]}', b"{1: 2}", b'{"a": "x', b"\0", b'{"\xff": 1}'),
        b'{"a": [' + b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_json_is_one_line(content):
    with pytest.raises(InputError, match=r"a\.json: not readable JSON at byte \d+") as stopped:
        pieces(content)
    assert "\n" not in str(stopped.value)


def test_memory_is_bounded_by_a_piece(monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    monkeypatch.setattr(json_stream, "LARGEST_PIECE", 10_000)
    many = b'{"a": [' + b", ".join([b'{"x": [1, 2]}'] * 20_000) + b"]}"
    longest = 0
    stream = JsonStream(io.BytesIO(many), "a.json")
    for _, found in stream:
        for _ in found:
            longest = max(longest, len(stream._text))
    assert longest < 3000
    with pytest.raises(InputError, match="not readable JSON"):
        pieces(b'{"a": ["' + b"x" * 100_000 + b'"]}')
