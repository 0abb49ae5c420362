"""Imports go one way: cli -> pipeline -> stages -> predictor, engine -> models, data -> ops -> types."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "affinitynet"

# What each room may import of its own house; models and data do not know each other.
BASE = {"types"}
MAY_IMPORT = {
    "types": set(),
    "memory": set(),
    "progress": set(),
    "processes": BASE,
    "yaml_file": BASE,
    "config": BASE | {"yaml_file"},
    "presets": BASE | {"config"},
    "summary": BASE | {"audit", "stages"},  # names of types only
    "ops": BASE,
    "models": BASE | {"ops"},
    "data": BASE | {"ops"},
    "engine": BASE | {"config", "data", "processes", "progress"},
    "predictor": BASE | {"config", "data", "engine", "models", "ops"},
    "segmentation": BASE | {"config", "data", "engine", "models", "ops"},
    "measuring": BASE | {"data", "engine", "ops", "progress"},
    "stages": BASE
    | {"measuring", "config", "data", "engine", "models", "ops", "predictor", "processes", "progress", "segmentation"},
    "finished": BASE | {"config", "data"},
    "exports": BASE | {"data", "finished", "progress"},
    "report": BASE | {"data", "engine", "finished", "measuring", "ops", "progress"},
    "predict": BASE | {"data", "engine", "ops", "processes", "progress", "segmentation", "stages"},
    "audit": BASE | {"config", "data", "engine", "finished", "models", "progress"},
    "convert": BASE | {"data", "models"},
    "pipeline": BASE | {"config", "data", "memory", "processes", "progress", "stages", "yaml_file"},
    "tools": BASE
    | {"audit", "convert", "data", "exports", "measuring", "pipeline", "predict", "processes", "progress", "report"}
    | {"summary"},
    "cli": BASE | {"config", "data", "memory", "pipeline", "presets", "progress", "summary", "tools"},
    "__main__": {"cli"},
    "__init__": None,  # the public names, imported lazily from everywhere
}


def rooms_imported_by(path: Path) -> set[str]:
    """Return the rooms (first part below the package) that a file imports anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules = [node.module or ""]
        else:
            continue
        rooms |= {module.split(".")[1] for module in modules if module.startswith("affinitynet.")}
    return rooms


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    allowed = MAY_IMPORT[room]
    if allowed is not None:
        assert rooms_imported_by(path) - {room} <= allowed


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
