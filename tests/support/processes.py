"""Processes of their own for tests, forked from a server that has imported torch once and done nothing else.

Starting Python and importing torch takes longer than most tests; a fork of the tests' own process would have their
threads, memory and GPU.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

IMPORTED = ("affinitynet.cli.main", "affinitynet.pipeline.run", "accelerate", "segmentation_models_pytorch", "timm")


def server() -> ForkServerContext:
    """Return where processes come from; the first call starts it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


def started(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """Call a module's function in a process of its own, that is otherwise like one started from a shell."""
    process = server().Process(target=_alone, args=(multiprocessing.get_start_method(), target, *arguments))
    process.start()
    return process


def _alone(method: str, target: Callable[..., object], *arguments: object) -> None:
    multiprocessing.set_start_method(method, force=True)  # a child of the server would load samples by servers, too
    import torch

    torch.set_num_threads(1)
    target(*arguments)


@dataclass(frozen=True)
class Job:
    """How the processes of a job ended: exit codes, and what they wrote to stderr together."""

    codes: tuple[int | None, ...]
    stderr: str


def launch(count: int, arguments: Sequence[object], log: Path) -> Job:
    """Run the command in ``count`` processes that find each other as those of torchrun do.

    Args:
        log: file that stderr goes to.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(argument) for argument in arguments]
    log.touch()
    children = [started(_join, rank, count, port, words, log) for rank in range(count)]
    for child in children:
        child.join(300)
        child.kill()
        child.join()
    return Job(tuple(child.exitcode for child in children), log.read_text(encoding="utf-8"))


def _join(rank: int, count: int, port: int, arguments: list[str], log: Path) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        OMP_NUM_THREADS="1",
    )
    from affinitynet.cli.main import main

    with log.open("a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stderr(file):
        code = main(arguments)
    sys.exit(code)
