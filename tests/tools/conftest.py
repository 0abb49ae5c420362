"""A real browser for the pages that people look at, and a review."""

import shutil

import pytest

from tests.support.review import opened


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as starter:
        started = starter.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def session(work):
    """A review of a test's own copy of the finished work folder."""
    return opened(work)
