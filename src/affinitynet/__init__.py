"""affinitynet: tags in, masks out.

The public names are listed once, in ``__init__.pyi``: type checkers read it, and so does this module, which imports a
name when it is first used. ``import affinitynet`` therefore takes milliseconds and imports no torch.

Example:
    >>> import affinitynet
    >>> affinitynet.mean_iou.__module__
    'affinitynet.ops.metrics'
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    name.name: str(line.module)
    for line in ast.parse(Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8")).body
    if isinstance(line, ast.ImportFrom)
    for name in line.names
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'affinitynet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
