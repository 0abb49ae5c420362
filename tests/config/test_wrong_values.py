"""A value of the wrong type is explained without a word of Python, on the command line and in a file."""

from dataclasses import fields, is_dataclass

import pytest

from affinitynet.cli import main
from affinitynet.config.config_file import config_from_dict
from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError

SETTINGS = [
    f"{section.name}.{field.name}"
    for section in fields(PipelineConfig)
    if is_dataclass(getattr(PipelineConfig(), section.name))
    for field in fields(getattr(PipelineConfig(), section.name))
]


def said(setting: str, value: object) -> str | None:
    """Return what is said of a value; ``None`` if it is accepted."""
    section, name = setting.split(".")
    try:
        config_from_dict({section: {name: value}}, PipelineConfig(), "config.yaml")
    except InputError as error:
        return str(error)
    return None


PYTHON = ("typing", "<class", "Literal", "Union", "NoneType", "Parser key", "not supported", "iterable", "tuple", "\n")


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("value", [{"a": {"b": 1}}, None, "sixteen", [[]], [1, "two", 3]], ids=str)
def test_no_value_is_answered_with_python(setting, value):
    message = said(setting, value)
    assert message is None or setting.split(".")[0] in message
    assert not any(python in (message or "") for python in PYTHON), message


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("masks.source", "wlk", "masks.source wlk: has to be auto, cams, crf or walk (did you mean walk?)"),
        ("masks.source", "x", "masks.source x: has to be auto, cams, crf or walk"),
        ("classifier.epochs", None, "classifier.epochs: is empty; it has to be a whole number"),
        ("segmenter.jitter", [1, 2], "segmenter.jitter [1, 2]: has to be a list of 4 numbers"),
        ("walk.alphas", ["a", 2], "walk.alphas a: has to be a list of numbers"),
        ("masks.threshold", "half", "masks.threshold half: has to be a number or null"),
    ],
)
def test_what_is_allowed_is_named(setting, value, expected):
    assert said(setting, value) == f"config.yaml: {expected}"


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--learn-from", "mask", "--learn-from mask: has to be drawn or masks (did you mean masks?)"),
        ("--seeds.low-alpha", "high", "--seeds.low-alpha high: has to be a number or null"),
        ("--seed", "many", "--seed many: has to be a whole number"),
        ("--walk.alphas", "sixteen", "--walk.alphas sixteen: has to be a list of numbers"),
        ("--masks.crf", "maybe", "--masks.crf maybe: has to be true or false"),
    ],
)
def test_a_flag_is_named_as_it_is_written(flag, value, expected, world, tmp_path, capsys):
    assert main(["run", "--data", str(world), "--work", str(tmp_path / "work"), flag, value]) == 2
    assert capsys.readouterr().err == f"affinitynet: {expected}\n"
    assert not (tmp_path / "work").exists()
