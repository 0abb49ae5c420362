"""A table of tags outside the data folder: remembered as the data folder is, and its changes are noticed."""

from pathlib import Path

import pytest
import yaml

from affinitynet.cli import main
from tests.support.worlds import plain_folder

STAGE = ["check-data", "--workers", "1"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = plain_folder(tmp_path / "data", count=4)
    (root / "tags.csv").rename(tmp_path / "list.csv")
    return root


def test_the_table_is_remembered_and_its_changes_are_noticed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*STAGE, "--data", "data", "--work", "work", "--tags", "list.csv"]) == 0
    noted = yaml.safe_load(Path("work/config.yaml").read_text())
    assert noted["tags"] == str(tmp_path / "list.csv")
    monkeypatch.chdir("/")
    assert main([*STAGE, "--work", str(tmp_path / "work")]) == 0
    assert "done before" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("file,tags\na.png,dog\nb.png,cat\n")
    assert main([*STAGE, "--work", str(tmp_path / "work")]) == 0
    assert "done before" not in capsys.readouterr().err


def test_without_the_table_nothing_is_guessed(data, tmp_path, capsys):
    assert main([*STAGE, "--data", str(data), "--work", str(tmp_path / "w")]) == 2
    assert main([*STAGE, "--data", str(data), "--work", str(tmp_path / "w"), "--tags", str(tmp_path / "lost.csv")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
