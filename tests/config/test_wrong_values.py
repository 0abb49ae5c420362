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


def said(setting: str, value: object) -> str:
    section, name = setting.split(".")
    with pytest.raises(InputError) as raised:
        config_from_dict({section: {name: value}}, PipelineConfig(), "config.yaml")
    return str(raised.value)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_says_what_it_has_to_be(setting):
    message = said(setting, {"a": {"b": 1}})
    assert setting in message or setting.split(".")[1] in message
    assert not any(python in message for python in ("typing", "<class", "Literal", "Union", "NoneType", "\n"))


def test_the_allowed_words_and_the_likely_one_are_named():
    assert said("masks.source", "wlk") == (
        "config.yaml: masks.source wlk: has to be auto, cams, crf or walk (did you mean 'walk'?)"
    )


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--learn-from", "mask", "--learn-from mask: has to be drawn or masks (did you mean 'masks'?)"),
        ("--seeds.low-alpha", "high", "--seeds.low-alpha high: has to be a number or null"),
        ("--seed", "many", "--seed many: has to be a whole number"),
        ("--walk.alphas", "sixteen", "--walk.alphas sixteen: has to be a list like [1, 2]"),
        ("--masks.crf", "maybe", "--masks.crf maybe: has to be true or false"),
    ],
)
def test_a_flag_is_named_as_it_is_written(flag, value, expected, world, tmp_path, capsys):
    assert main(["run", "--data", str(world), "--work", str(tmp_path / "work"), flag, value]) == 2
    assert capsys.readouterr().err == f"affinitynet: {expected}\n"
    assert not (tmp_path / "work").exists()
