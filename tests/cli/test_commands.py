"""The command line is made from signatures: help, hyphens, what is missing, where a flag belongs, and how soon."""

import inspect
import re
import subprocess
import sys

import pytest

from affinitynet.cli import main
from affinitynet.cli.commands import COMMANDS
from affinitynet.runtime.progress import Progress
from tests.support.worlds import plain_folder

WITHOUT_TORCH = """
import sys
from affinitynet.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
assert "torch" not in sys.modules and "timm" not in sys.modules
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        *(([name, "--help"], 0) for name in COMMANDS),
        (["run", "--walk.bta", "3"], 2),
        (["run", "--work", "w", "--data", "absent", "--walk.beta", "-1"], 2),
        (["run", "--work", "w", "--data", "absent"], 2),
        (["make-cams", "--work", "absent"], 2),
        (["report", "--work", "absent"], 2),
        (["predict", "absent.jpg", "--out", "o", "--model", "m"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_wrong_arguments_do_not_wait_for_torch(arguments, code, tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_says_what_it_is_for(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert "_" not in "".join(re.findall(r"--[\w.-]+", text))
    assert "type:" not in text
    function = COMMANDS[name].load()
    for parameter in inspect.signature(function).parameters:
        if parameter not in ("runtime", "stages", "changes", *COMMANDS[name].positional):
            assert re.search(rf"--{parameter.replace('_', '-')}\b", text), parameter


@pytest.mark.parametrize("flag", ["--on-error", "--on_error"])
def test_flags_are_taken_with_hyphens_and_underscores(flag, tmp_path, capsys):
    data = plain_folder(tmp_path / "data")
    (data / "b.png").write_bytes(b"")
    assert main(["check-data", "--data", str(data), "--work", str(tmp_path / "w"), flag, "stop"]) == 2
    assert "b.png: not a readable image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["train-classifier", "--affinity.trained", "x"],
            "not a flag of train-classifier but of run and train-affinity",
        ),
        (["make-cams", "--work", "new"], "--work new: nothing was trained there"),
        (["predict", "a.jpg", "--work", "w"], "--work: predict has no such flag; did you mean"),  # not --workers
        (["evaluate", "--work", "new"], "nothing was trained there"),
        (["predict", "a.jpg"], "--out: missing; where masks"),
        (["tune"], "--work: missing; work folder with finished masks"),
        (["export", "--work", "w", "--out", "o", "--format", "vok"], "format"),
        (
            ["run", "--work", "w", "--data", "d", "--masks.alpha", "5"],
            "--masks.alpha = 5.0: must be one of walk.alphas",
        ),
        (["run", "--work", "w", "--data", "d", "--crf.iterations", "-1"], "--crf.iterations = -1: must be at least 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.alone])
def test_a_command_for_one_process_is_run_by_the_first_alone(name, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RANK", "1")
    arguments = {
        "evaluate-masks": ["--masks", "absent", "--data", "absent"],
        "report": ["--work", "absent"],
        "review": ["--work", "absent"],
        "import-masks": ["absent", "--work", "absent"],
        "export": ["--work", "absent", "--out", "o", "--format", "voc"],
        "export-model": ["--model", "absent", "--out", "o.onnx"],
        "convert-weights": ["absent.pth", "b.safetensors"],
    }[name]
    monkeypatch.chdir(tmp_path)
    assert main([name, *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_long_line_is_not_broken_where_stderr_is_no_terminal(capsys):
    from rich.console import Console

    message = "check-data: " + "a/very/long/path/" * 20
    Progress(console=Console(stderr=True)).say(message)
    assert capsys.readouterr().err == f"{message}\n"
