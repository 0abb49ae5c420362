"""Shared by all tests: one thread each (they run side by side), and the real photographs where present."""

from pathlib import Path

import pytest
import torch

from tests.support.places import SHARED

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def voc_animals() -> Path:
    """The folder of real photographs that lies beside a developer's checkout."""
    folder = SHARED / "voc-animals"
    if not folder.is_dir():
        pytest.skip("no ../shared/voc-animals here")
    return folder
