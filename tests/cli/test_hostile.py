"""Every bad input of ``hostile.py`` ends as it has to, in bounded time and memory, and runs nothing."""

import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.support.hostile import CASES, CODES, Ended, check, print_table
from tests.support.processes import server

pytestmark = pytest.mark.first

ALLOWED = 2 * 2**30
PATIENCE = 180  # seconds for what takes eight, on a machine that does other things as well


def limit_memory() -> None:
    """Let this process have 2 GB beside its libraries."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ALLOWED, used + ALLOWED))


def check_named(name: str, root: Path) -> Ended:
    return check(next(case for case in CASES if case.name == name), root)


def allocate(size: int) -> int:
    return len(bytearray(size))


@pytest.fixture(scope="module")
def small_process() -> Iterator[ProcessPoolExecutor]:
    """A process that reads the lot and may have little memory: no bomb goes off in it."""
    with ProcessPoolExecutor(1, mp_context=server(), initializer=limit_memory) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_as_it_has_to(case, small_process, tmp_path):
    ended = small_process.submit(check_named, case.name, tmp_path).result(timeout=PATIENCE)
    assert ended.code == CODES[case.end], ended.lines
    assert "Traceback" not in ended.lines
    named = [line for line in ended.lines.splitlines() if line.startswith("affinitynet: ")]
    assert (case.says in "".join(named)) if case.says else not named
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "work"}


def test_a_bomb_would_go_off(small_process):
    """The limit holds: without this, the cases would show nothing about memory."""
    with pytest.raises(MemoryError):
        small_process.submit(allocate, ALLOWED + 1).result(timeout=PATIENCE)


def test_there_are_sixty_kinds():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_the_table_names_each_and_counts_what_fails(capsys):
    assert print_table(CASES[:2]) == 0
    printed = capsys.readouterr()
    assert all(f"| {case.name} | {case.end} ({CODES[case.end]}) |" in printed.out for case in CASES[:2])
    assert "2 kinds, 0 ended otherwise" in printed.err
