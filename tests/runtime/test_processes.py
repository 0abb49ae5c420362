"""Two and three processes give what one gives (gloo, on CPUs): forked as torchrun starts them, and once by torchrun."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from affinitynet.config.config_file import to_dict
from affinitynet.config.trainings import AffinityConfig, IRNetConfig
from affinitynet.files import load_arrays, read_json, write_json
from tests.support.processes import launch
from tests.support.worlds import QUICK, copied

pytestmark = pytest.mark.first


def started_by_torchrun(count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=900, check=False
    )


LABELLING = {"cams": "make-cams", "seeds": "make-seeds", "walks": "random-walk", "masks": "make-masks"}


@pytest.mark.parametrize("count", [3])
def test_labels_are_those_of_one_process(world, finished, work, tmp_path, count):
    records = read_json(work / "stages.json")
    for kind, stage in LABELLING.items():
        shutil.rmtree(work / kind)
        records.pop(stage)
    write_json(work / "stages.json", records)
    done = launch(count, ["run", "--data", world, "--work", work, "--workers", 1], tmp_path / "stderr")
    assert done.codes == (0,) * count, done.stderr
    for kind in LABELLING:
        expected = sorted(path for path in (finished / kind).rglob("*") if path.is_file())
        assert expected
        for path in expected:
            found = work / kind / path.relative_to(finished / kind)
            if path.suffix == ".npz":
                one, many = load_arrays(path), load_arrays(found)
                assert all(np.array_equal(one[key], many[key]) for key in one)
            else:
                assert found.read_bytes() == path.read_bytes()
    assert "train-classifier: done before" in done.stderr
    assert done.stderr.count("make-cams: done") == 1


FIVE_STEPS: dict[str, Any] = {"epochs": 5, "min_steps": 0, "batch_size": 4, "crop_size": 64, "precision": "float32"}
TRAININGS = {
    "affinity": replace(QUICK, affinity=AffinityConfig(**FIVE_STEPS)),
    "irnet": replace(QUICK, propagation="irnet", irnet=IRNetConfig(**FIVE_STEPS, learning_rate=0.001)),
}


@pytest.mark.parametrize("network", TRAININGS)
@pytest.mark.parametrize("count", [3])
def test_training_is_that_of_one_process(world, finished, tmp_path, count, network):
    """Neither network has dropout, so that only rounding is left: batches of 4 that 3 do not divide."""
    config = TRAININGS[network]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_dict(config)))
    for work in ("one", "many"):
        copied(finished, tmp_path / work)
        command: list[object] = [f"train-{network}", "--data", world, "--work", tmp_path / work]
        command += ["--config", tmp_path / "config.yaml", "--force", "--workers", 1]
        done = launch(count if work == "many" else 1, command, tmp_path / f"stderr-{work}")
        assert set(done.codes) == {0}, done.stderr
    one, many = (losses(tmp_path / work / "losses" / f"{network}.csv") for work in ("one", "many"))
    assert len(one) == 5
    assert [row[:3] for row in one] == [row[:3] for row in many]
    np.testing.assert_allclose([row[3] for row in many], [row[3] for row in one], rtol=1e-4)
    weights, shared = (load_file(tmp_path / work / f"{network}.safetensors") for work in ("one", "many"))
    for key, value in weights.items():
        torch.testing.assert_close(shared[key], value, rtol=1e-3, atol=1e-5)


def test_the_whole_line_runs_on_two(world, finished, tmp_path):
    work = tmp_path / "work"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_dict(QUICK)))
    config = ["--config", tmp_path / "config.yaml"]
    done = started_by_torchrun(2, "-m", "affinitynet", "run", "--data", world, "--work", work, *config, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert read_json(work / "metrics.json").keys() == read_json(finished / "metrics.json").keys()
    assert not list(work.glob("*.checkpoint.safetensors"))


def losses(path: Path) -> list[tuple[float, ...]]:
    with path.open() as file:
        return [tuple(map(float, row.values())) for row in csv.DictReader(file)]


def test_a_mistake_ends_all_processes(finished, tmp_path):
    done = launch(2, ["run", "--data", tmp_path / "none", "--work", tmp_path / "work"], tmp_path / "stderr")
    assert done.codes == (2, 2)
    assert "no such folder" in done.stderr
    assert not (tmp_path / "work").exists()
