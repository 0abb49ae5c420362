"""What the package says of itself is said once, or the same everywhere."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import affinitynet
from tests.support.minimum import declared, lowest_pins
from tests.support.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FLOOR = "3.11"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def targets(words):
    return set(re.findall(r"\bmake ([a-z-]+)", words))


def test_the_version_has_one_source():
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "affinitynet.__version__"}
    assert yaml.safe_load(text("CITATION.cff"))["version"] == affinitynet.__version__
    assert f"## {affinitynet.__version__}" in text("CHANGELOG.md")


def test_the_floor_of_python_is_the_same_everywhere():
    project = PROJECT["project"]
    assert project["requires-python"] == f">={FLOOR}"
    versions = [c.rsplit(" ", 1)[1] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert versions[0] == FLOOR
    assert PROJECT["tool"]["mypy"]["python_version"] == FLOOR
    assert f"Python {FLOOR} or newer" in text("README.md")
    assert f"Python {FLOOR} or newer" in text("CONTRIBUTING.md")
    workflow = yaml.safe_load(text(".github/workflows/test.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == versions


def test_every_dependency_declares_a_lower_bound_that_is_pinned_above_it():
    pins = {line.split("==")[0].lower().replace("_", "-") for line in text("constraints.txt").split()}
    for pin in lowest_pins(declared()):
        assert re.split(r"\[|==", pin)[0].lower() in pins, pin


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", ".github/workflows/test.yml", ".ci/run"])
def test_pages_name_targets_that_exist(page):
    known = set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.M))
    assert targets(text(page)) <= known
    assert targets(text(page))


def test_every_public_name_has_a_home_and_a_docstring():
    assert set(affinitynet.__all__) >= {"run_pipeline", "MaskPredictor", "InputError", "mean_iou"}
    for name in affinitynet.__all__:
        assert getattr(affinitynet, name).__doc__, name
    with pytest.raises(AttributeError, match="unicorn"):
        getattr(affinitynet, "unicorn")  # noqa: B009


def test_the_stub_is_what_is_packaged():
    assert "*.pyi" in PROJECT["tool"]["setuptools"]["package-data"]["affinitynet"]
    stub = ast.parse(text("src/affinitynet/__init__.pyi"))
    names = {alias.name for line in stub.body if isinstance(line, ast.ImportFrom) for alias in line.names}
    assert names == set(affinitynet.__all__)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, affinitynet; print(sorted({'torch', 'numpy', 'timm', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_citation_names_the_paper():
    paper = yaml.safe_load(text("CITATION.cff"))["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Ahn", "Kwak"]
    assert paper["year"] == 2018
