"""Every benchmark runs, at a size that measures nothing."""

import re

import pytest
import torch

from benchmarks import affinity, boundaries, cam, common, crf, segmenter, walk
from tests.support.places import ROOT
from tests.support.processes import server


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run a benchmark in this process, and return what it prints."""
    server()
    monkeypatch.setattr(common, "START_METHOD", "forkserver")
    threads = torch.get_num_threads()

    def run(benchmark, *arguments):
        benchmark.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)


def test_each_is_run_here():
    assert {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")} == {
        module.__name__.removeprefix("benchmarks.")
        for module in (affinity, boundaries, cam, common, crf, segmenter, walk)
    }


@pytest.mark.parametrize("benchmark", [affinity, boundaries])
def test_losses_of_pairs(printed, benchmark):
    out = printed(benchmark, "--toy", "--repeats", 1)
    (difference,) = re.findall(r"gradients differ by ([\d.e+-]+)", re.sub(r"\s+", " ", out))
    assert float(difference) < 1e-4
    assert "peak memory of one step" in out


def test_cam(printed):
    out = printed(cam, "--toy", "--repeats", 1, "--networks", "lite")
    assert "class activation maps of 64x48 on cpu" in out
    assert re.search(r"lite +│ +[\d.]+", out)


def test_crf(printed):
    out = printed(crf, "--toy", "--repeats", 1)
    assert "32x24" in out
    assert "bytes/pixel" in out
    assert ("% equal" in out) == crf.PEER


def test_walk(printed):
    out = printed(walk, "--toy", "--repeats", 1)
    assert "16x12" in out
    assert "peak memory" in out


def test_segmenter(printed, finished):
    out = printed(segmenter, "--work", finished)
    assert "same network on the 4 drawn masks of train, 1 epochs" in out
    (ratio,) = re.findall(r"ratio of tags to drawn masks +│ +([\d.]+)", out)
    assert 0 < float(ratio) < 1000
