"""Arrays out of pickle files, without unpickling: numbers, texts, lists, dictionaries and arrays, and nothing else.

A pickle is a program, and ``pickle.load`` runs whatever it names. Here its instructions are only read
(:func:`pickletools.genops`), and those that build plain data are followed. A name in the file is looked up in a fixed
table of this module; nothing is imported or called by name, and anything else in the file is refused.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 100_000
"""Values in a file; a dictionary of activation maps has a few hundred."""

_PLAIN_DTYPE = re.compile(r"[<>=|]?[biuf]\d{1,2}|[<>=|]?O8?")


class NotPlainError(ValueError):
    """A pickle holds something other than plain data."""


def read_plain(content: bytes) -> Any:
    """Return the plain data of a pickle: None, bool, int, float, str, bytes, list, tuple, dict and numpy arrays.

    Tensors of torch are returned as arrays.

    Raises:
        NotPlainError: it holds anything else, or is damaged.

    Example:
        >>> import pickle
        >>> read_plain(pickle.dumps({3: np.arange(2)}))
        {3: array([0, 1])}
        >>> read_plain(pickle.dumps(print))
        Traceback (most recent call last):
        affinitynet.data.pickled.NotPlainError: it names builtins.print, which is not plain data
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
            machine.follow(opcode.name, argument)
        return _Unwrapped().value(machine.stack.pop())
    except NotPlainError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        raise NotPlainError(f"it is damaged ({type(error).__name__}: {' '.join(str(error).split())[:80]})") from None


@dataclass
class _Dtype:
    """A type of numbers that is being built: its byte order comes later."""

    value: np.dtype


@dataclass
class _Array:
    """An array that is being built: the pickle makes it empty and fills it later."""

    value: np.ndarray | list | None = None

    def fill(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.value.hasobject:
            if not isinstance(content, list):
                raise NotPlainError("an array of objects without its list")
            self.value = content
        else:
            self.value = _array(content, dtype, shape, "F" if fortran else "C")


@dataclass(frozen=True)
class _Name:
    """A name in the file, and what it may be called for."""

    call: Callable[..., Any] | None


def _array(content: Any, dtype: _Dtype, shape: Any, order: Any = "C") -> np.ndarray:
    """Return an array of exactly this content."""
    shape = tuple(int(side) for side in shape)
    return np.frombuffer(_bytes(content), dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _bytes(content: Any) -> bytes:
    """Return bytes; Python 2 wrote them as text."""
    return content.encode("latin-1") if isinstance(content, str) else bytes(memoryview(content))


def _dtype(name: Any, *_: Any) -> _Dtype:
    text = name.decode() if isinstance(name, bytes) else str(name)
    if not _PLAIN_DTYPE.fullmatch(text):
        raise NotPlainError(f"it holds an array of {text[:20]!a}, not of numbers")
    return _Dtype(np.dtype(text))


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise NotPlainError(f"a text in {encoding[:20]!a}")
    return text.encode("latin-1")


def _storage(content: bytes) -> np.ndarray:
    """Return the numbers of a torch storage: a file of ``torch.save`` within the pickle."""
    import torch

    try:
        found = torch.load(io.BytesIO(_bytes(content)), map_location="cpu", weights_only=True)
    except Exception as error:  # its own restricted reader may raise anything
        raise NotPlainError(f"a tensor in it cannot be read ({type(error).__name__})") from None
    numbers = torch.tensor([], dtype=found.dtype).set_(found)
    return (numbers.float() if numbers.is_floating_point() else numbers).numpy()


def _tensor(storage: np.ndarray, offset: int, size: tuple, strides: tuple, *_: Any) -> np.ndarray:
    count = int(np.prod(size, dtype=np.int64))
    reach = offset + sum((side - 1) * step for side, step in zip(size, strides, strict=True)) if count else 0
    if min(offset, *size, *strides, 0) < 0 or reach >= max(len(storage), 1):
        raise NotPlainError("a tensor in it is larger than its numbers")
    return np.lib.stride_tricks.as_strided(
        storage[offset:], size, [step * storage.itemsize for step in strides], writeable=False
    ).copy()


def _both(module: str, name: str, call: Callable[..., Any] | None) -> dict[str, _Name]:
    """Return a name under numpy's module of before and of after 2.0."""
    return {f"numpy.{core}.{module}.{name}": _Name(call) for core in ("core", "_core")}


_NAMES: dict[str, _Name] = {
    **_both("multiarray", "_reconstruct", lambda *_: _Array()),
    **_both("multiarray", "scalar", lambda dtype, content: _array(content, dtype, ())[()].item()),
    **_both("numeric", "_frombuffer", lambda content, dtype, shape, order: _array(content, dtype, shape, order)),
    "numpy.ndarray": _Name(None),
    "numpy.dtype": _Name(_dtype),
    "_codecs.encode": _Name(_encode),
    "collections.OrderedDict": _Name(lambda: {}),
    "torch._utils._rebuild_tensor_v2": _Name(_tensor),
    "torch._utils._rebuild_tensor": _Name(_tensor),
    "torch.storage._load_from_bytes": _Name(_storage),
}

_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
    *("BINBYTES8", "BYTEARRAY8"),
}
"""Instructions that push what they hold."""

_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": lambda: (),
    "EMPTY_LIST": lambda: [],
    "EMPTY_DICT": lambda: {},
}
"""Instructions that push something new."""

_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def follow(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        self.steps += 1
        if self.steps > LARGEST:
            raise NotPlainError(f"it holds more than {LARGEST:,} values")
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _MADE:
            self.stack.append(_MADE[name]())
        elif name in _TUPLES:
            self.stack[-_TUPLES[name] :] = [tuple(self.stack[-_TUPLES[name] :])]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise NotPlainError(f"it holds an instruction for more than plain data ({name})")
            step(argument)

    def _marked(self) -> list[Any]:
        """Take what was pushed since the last mark."""
        place = self.marks.pop()
        found = self.stack[place:]
        del self.stack[place:]
        return found

    def _mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _dict(self, _: Any) -> None:
        found = self._marked()
        self.stack.append(dict(zip(found[::2], found[1::2], strict=True)))

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._under(list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._marked()
        self._under(list).extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._under(dict)[key] = value

    def _setitems(self, _: Any) -> None:
        found = self._marked()
        self._under(dict).update(zip(found[::2], found[1::2], strict=True))

    def _under(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise NotPlainError("it fills something other than a list or a dictionary")
        return self.stack[-1]

    def _global(self, argument: str) -> None:
        self._push_name(*argument.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in _NAMES:
            raise NotPlainError(f"it names {ascii(full[:60])[1:-1]}, which is not plain data")
        self.stack.append(_NAMES[full])

    def _reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or name.call is None or not isinstance(arguments, tuple):
            raise NotPlainError("it calls something")
        self.stack.append(name.call(*arguments))

    def _build(self, _: Any) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, _Array):
            made.fill(state)
        elif isinstance(made, _Dtype):
            made.value = made.value.newbyteorder(state[1])
        else:
            raise NotPlainError("it gives something a state of its own")


class _Unwrapped:
    """Finished arrays in the place of those that were being built."""

    def __init__(self) -> None:
        self.seen = 0

    def value(self, made: Any, depth: int = 0) -> Any:
        self.seen += 1
        if self.seen > LARGEST or depth > 20:
            raise NotPlainError("it is nested too deep")
        if isinstance(made, _Array):
            return self.value(made.value, depth + 1)
        if isinstance(made, dict):
            return {self.value(key, depth + 1): self.value(item, depth + 1) for key, item in made.items()}
        if isinstance(made, (list, tuple)):
            return type(made)(self.value(item, depth + 1) for item in made)
        if isinstance(made, (_Name, _Dtype)):
            raise NotPlainError("it holds a name, not a value")
        return made
