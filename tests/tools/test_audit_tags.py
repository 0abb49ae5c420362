"""Tags that lie: planted errors are found, and come first."""

import csv

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.tools.audit_tags import suspect


def test_planted_errors_come_first():
    random = np.random.default_rng(0)
    true = random.random((200, 3)) < 0.3
    tagged = true.copy()
    planted = {(int(image), number % 3) for number, image in enumerate(random.choice(200, 12, replace=False))}
    for i, c in planted:
        tagged[i, c] = ~tagged[i, c]
    probability = np.clip(np.where(true, 0.8, 0.15) + random.normal(0, 0.08, true.shape), 0, 1)
    names = [str(i) for i in range(200)]
    found = suspect(probability, tagged, names, ["0", "1", "2"])
    first = {(int(s.image), int(s.class_name)) for s in found[: len(planted)]}
    assert len(first & planted) >= 11
    for s in found[: len(planted)]:
        assert s.kind == ("wrong" if tagged[int(s.image), int(s.class_name)] else "missing")
    strengths = [s.strength for s in found]
    assert strengths == sorted(strengths, reverse=True)
    assert min(strengths) > 0.5


def test_classes_that_tell_nothing_are_left_out():
    probability = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert suspect(probability, np.array([[True, False], [True, False]]), ["a", "b"], ["x", "y"]) == []


def test_the_command_lists_and_writes(work, capsys):
    assert main(["audit-tags", "--work", str(work), "--top", "3", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    with (work / "audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert f"{len(rows)} suspicious tags" in out
    assert all(row["tag"] in ("missing", "wrong") and 0 <= float(row["probability"]) <= 1 for row in rows)


def test_without_a_classifier_it_says_what_to_do(tmp_path, capsys):
    assert main(["audit-tags", "--work", str(tmp_path)]) == 2
    assert "train-classifier" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--top", "--workers"])
def test_numbers_are_numbers(flag, tmp_path, capsys):
    assert main(["audit-tags", "--work", str(tmp_path), flag, "many"]) == 2
