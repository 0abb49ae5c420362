"""The README's commands do what it says: run as written, on a folder laid out as it shows."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from affinitynet.cli.commands import COMMANDS
from affinitynet.cli.main import main
from affinitynet.config.config_file import to_dict
from tests.support.places import ROOT
from tests.support.worlds import QUICK

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str = "") -> list[str]:
    """Return a page's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("affinitynet ")]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The folder of the README's example, and a place where its commands can run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "garden").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("garden/cat 1.jpg", "street.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 56, 3), np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "tags.csv").write_text("file,tags\ngarden/cat 1.jpg,cat\nstreet.jpg,dog;person\n")
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(to_dict(QUICK)))
    return tmp_path / "photos"


def test_the_own_data_example_runs(photos, tmp_path):
    (command,) = [c for c in commands(ROOT / "README.md") if "photos" in c]
    assert main([*command[1:], "--config", "quick.yaml"]) == 0
    assert (tmp_path / "photos-work" / "masks" / "garden" / "cat 1.png").exists()
    (snippet,) = blocks(ROOT / "README.md", "python")
    names: dict[str, Any] = {"image": np.asarray(Image.open(photos / "street.jpg"))}
    exec(snippet, names)
    assert names["found"].mask.shape == (40, 56)
    assert names["found"].scores.shape == (2, 40, 56)


def test_the_pages_name_only_flags_and_commands_that_exist(capsys):
    for page in PAGES:
        for words in commands(page):
            assert words[1] in COMMANDS, (page, words)
            with pytest.raises(SystemExit):
                main([words[1], "--help"])
            known = capsys.readouterr().out
            for flag in (w for w in words if w.startswith("--")):
                assert flag in known, (page, flag)


def test_make_has_the_readmes_targets():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M)
    named = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), flags=re.M)
    assert set(named) == {"demo", "test"}
    assert set(named) <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_links_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), (page, target)


def test_the_code_cites_sections_of_the_method_that_exist():
    headings = set(re.findall(r"^#+ (.*)$", (ROOT / "docs" / "method.md").read_text(encoding="utf-8"), flags=re.M))
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    cited = {section for text in sources for section in re.findall(r'docs/method\.md, "([^"]+)"', text)}
    assert cited
    assert cited <= headings, cited - headings
