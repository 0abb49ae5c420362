"""Consoles other than a UTF-8 terminal: other encodings, closed pipes, full disks; and the cures of system errors."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from affinitynet.cli import main
from affinitynet.runtime.progress import Progress, UnreadConsole
from tests.support.worlds import plain_folder


def to_closed_pipe(*arguments):
    """Run a command whose output nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", "affinitynet", *arguments], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_closed_pipe_ends_quietly(argument):
    done = to_closed_pipe(argument)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "affinitynet", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "affinitynet: No space left on device; make room on that drive\n"


class Console(io.TextIOWrapper):
    """Standard output of an encoding."""

    def __init__(self, encoding):
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding)

    def said(self):
        self.flush()
        return self.bytes.getvalue().decode(self.encoding)


@pytest.fixture
def measured(tmp_path):
    """Arguments of a command that prints a table with a class in Chinese."""
    root = plain_folder(tmp_path / "data", "file,tags\na.png,猫\nb.png,狗\n")
    for folder in (root / "masks", tmp_path / "masks"):
        folder.mkdir(exist_ok=True)
        for value, name in enumerate("ab", start=1):
            with Image.open(root / f"{name}.png") as picture:
                Image.new("L", picture.size, value).save(folder / f"{name}.png")
    return ["evaluate-masks", "--masks", str(tmp_path / "masks"), "--data", str(root)]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_any_encoding_prints_the_table(measured, monkeypatch, encoding):
    console = Console(encoding)
    monkeypatch.setattr(sys, "stdout", console)
    assert main(measured) == 0
    said = console.said()
    assert ("猫" if encoding == "utf-8" else r"\u732b") in said
    assert ("┃" in said) == (encoding == "utf-8")
    assert r"\u25" not in said  # lines of the table


def test_a_file_name_that_is_no_text_is_printed_and_logged(tmp_path, monkeypatch):
    """Names that are not UTF-8 reach both the console and the log."""
    console = Console("utf-8")
    monkeypatch.setattr(sys, "stdout", console)
    log = tmp_path / "log.txt"
    Progress(log, UnreadConsole(file=console)).say("\udcff.png: done")
    main(["--version"])
    assert r"\udcff.png: done" in log.read_text(encoding="utf-8")
    print("\udcff.png")
    assert r"\udcff.png" in console.said()


def test_work_goes_on_where_nobody_reads_its_messages(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as nobody:
        progress = Progress(tmp_path / "log.txt", UnreadConsole(file=nobody))
        progress.say("one")
        progress.say("two")
        with pytest.raises(BrokenPipeError):  # the stream itself did fail
            nobody.write("three\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    assert [line.split()[-1] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("number", "resumes", "says", "continues"),
    [
        (errno.ENOSPC, True, "make room", True),
        (errno.ENOSPC, False, "make room", False),
        (errno.EROFS, True, "choose a folder on another drive", False),
        (errno.EACCES, True, "choose a folder that you may use", False),
        (errno.ENAMETOOLONG, True, "rename it", False),
    ],
)
def test_the_cure_of_a_system_error_is_one_that_works(tmp_path, monkeypatch, capsys, number, resumes, says, continues):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number), "W/x")

    root = plain_folder(tmp_path / "data")
    if resumes:
        monkeypatch.setattr("affinitynet.cli.stages.run_stages", fails)
        arguments = ["check-data", "--data", str(root), "--work", str(tmp_path / "work")]
    else:
        monkeypatch.setattr("affinitynet.tools.evaluate_masks.open_collection", fails)
        arguments = ["evaluate-masks", "--masks", str(root), "--data", str(root)]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"affinitynet: W/x: {os.strerror(number)}; ")
    assert says in said
    assert ("the same command continues" in said) == continues
