"""What the benchmarks share: paired timings, peak memory, a table that names the machine."""

from __future__ import annotations

import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

Call = Callable[[], Any]
START_METHOD = "spawn"
"""How a process is made whose memory is measured: one that shares nothing with this one."""


def paired_seconds(calls: dict[str, Call], repeats: int, device: torch.device | str = "cpu") -> dict[str, float]:
    """Return the median seconds of each call; every round runs all of them, so that a busy machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # warm up
    for _ in range(repeats):
        for name, call in calls.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def _wait(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def peak_megabytes(prepare: Callable[..., Call], *arguments: object) -> float:
    """Return by how much one call raises the resident size, measured in a process of its own.

    Args:
        prepare: module-level function that builds the inputs and returns the call.
    """
    with multiprocessing.get_context(START_METHOD).Pool(1) as pool:
        return pool.apply(_rise, (prepare, arguments))


def _rise(prepare: Callable[..., Call], arguments: tuple[object, ...]) -> float:
    call = prepare(*arguments)
    torch.ones(8) @ torch.ones(8)  # the libraries' own buffers
    before = _peak_resident_kilobytes()
    result = call()
    after = _peak_resident_kilobytes()
    del result
    return (after - before) / 2**10


def _peak_resident_kilobytes() -> int:
    """The high-water mark of this program alone: getrusage's would count what its parent had, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def thread_counts() -> list[int]:
    """One core, and all of them."""
    return sorted({1, torch.get_num_threads()})


def photograph(path: str | None, height: int, width: int) -> torch.Tensor:
    """Return an image uint8 [height, width, 3]: the file's, or a drawn one with a photograph's noise."""
    if path is None:
        from affinitynet.data.drawn_world import draw_picture

        picture = draw_picture(np.random.default_rng(0))[0]
    else:
        picture = np.asarray(Image.open(path).convert("RGB"))
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 6 if path is None else 0, (height, width, 3))
    return torch.from_numpy((np.asarray(resized) + noise).clip(0, 255).astype(np.uint8))


def table(title: str, *columns: str) -> Table:
    """Return an empty table under the machine's name."""
    made = Table(title=f"{title}\n{machine()}", title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def machine() -> str:
    """Return processor, cores and versions in one line."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next((line.split(":")[1].strip() for line in cpuinfo.open() if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {torch.get_num_threads()} cores{gpu}; torch {torch.__version__}"


def show(made: Table) -> None:
    """Print a table."""
    Console(width=140).print(made)


def compare_with_gather(
    what: str, ours_on: Callable[..., Call], gather_on: Callable[..., Call], size: tuple[int, ...], repeats: int
) -> None:
    """Print the time and the memory of a training step, ours and with all pairs gathered, on the CPU and a GPU.

    Args:
        what: is computed.
        ours_on, gather_on: module-level functions (size, device) -> a call that returns the gradient.
    """
    _compare_seconds(what, ours_on(size), gather_on(size), "cpu", repeats, thread_counts())
    ours, other = peak_megabytes(ours_on, size), peak_megabytes(gather_on, size)
    made = table("peak memory of one step", "ours MB", "gather MB", "ratio")
    made.add_row(f"{ours:.0f}", f"{other:.0f}", f"{ours / other:.2f}")
    show(made)
    if not torch.cuda.is_available():
        return
    _compare_seconds(what, ours_on(size, "cuda"), gather_on(size, "cuda"), "cuda", repeats, [torch.get_num_threads()])
    peaks = []
    for prepare in (ours_on, gather_on):
        call = prepare(size, "cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        peaks.append((torch.cuda.max_memory_allocated() - before) / 2**20)
    print(f"peak memory of one step on the GPU: ours {peaks[0]:.0f} MB, gather {peaks[1]:.0f} MB")


def _compare_seconds(what: str, ours: Call, other: Call, device: str, repeats: int, counts: list[int]) -> None:
    columns = ("cores", "ours s", "gather s", "ratio", "agreement")
    made = table(f"{what}, forward and backward, on {device}", *columns)
    difference = float((ours() - other()).abs().max() / other().abs().max())
    for count in counts:
        torch.set_num_threads(count)
        seconds = paired_seconds({"ours": ours, "gather": other}, repeats, device)
        made.add_row(
            f"{count}",
            f"{seconds['ours']:.3f}",
            f"{seconds['gather']:.3f}",
            f"{seconds['gather'] / seconds['ours']:.1f}",
            f"gradients differ by {difference:.0e} of the largest",
        )
    show(made)
