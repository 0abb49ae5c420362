"""Shared by all tests: one thread each (they run side by side), one finished world, and the real photographs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from affinitynet.pipeline.run import run_pipeline
from tests.support.places import SHARED
from tests.support.worlds import QUICK, copied, stamps, tiny_world

torch.set_num_threads(1)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every kind of device there is here: what computes on tensors is tested on each."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def voc_animals() -> Path:
    """The folder of real photographs that lies beside a developer's checkout."""
    folder = SHARED / "voc-animals"
    if not folder.is_dir():
        pytest.skip("no ../shared/voc-animals here")
    return folder


@pytest.fixture(scope="session")
def finished_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A drawn world in ``data/`` and a work folder in which every stage has run, ``work/``.

    Made once for all the processes that run tests, so no test may change it; that none did is checked at the end.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished-world"
    with FileLock(f"{root}.lock"):
        if not (root / "complete").exists():
            run_pipeline(tiny_world(root / "data"), root / "work", QUICK, workers=1)
            (root / "complete").touch()
    before = stamps(root)
    yield root
    assert stamps(root) == before, "a test changed the shared world: it has to work on a copy"


@pytest.fixture(scope="session")
def world(finished_world: Path) -> Path:
    """The drawn world that all tests share: six pictures, to be read only."""
    return finished_world / "data"


@pytest.fixture(scope="session")
def finished(finished_world: Path) -> Path:
    """The finished work folder that all tests share, to be read only."""
    return finished_world / "work"


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A test's own copy of the finished work folder."""
    return copied(finished, tmp_path / "work")
