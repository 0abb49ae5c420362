"""Config: typed, ranged, and typos are told the nearest name."""

import pytest
import yaml

from affinitynet.config.config_file import differences, read_config, to_dict
from affinitynet.config.presets import preset
from affinitynet.config.settings import MaskConfig, PipelineConfig, WalkConfig
from affinitynet.config.trainings import ClassifierConfig
from affinitynet.errors import InputError


def test_yaml_round_trip_gives_the_same_config(tmp_path):
    walk, masks = WalkConfig(beta=4, alphas=(8.0, 2.0)), MaskConfig(alpha=2.0)
    config = PipelineConfig(seed=3, classes=("b", "a"), walk=walk, masks=masks)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(config)))
    assert read_config(path, PipelineConfig()) == config


def test_a_partial_file_keeps_the_base(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("walk: {beta: 3}\n")
    base = PipelineConfig(seed=7)
    read = read_config(path, base)
    assert (read.walk.beta, read.seed, read.walk.steps) == (3.0, 7, base.walk.steps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("walk: {betta: 3}", "walk.betta: unknown setting; did you mean 'beta'?"),
        ("wolk: {beta: 3}", "wolk: unknown setting; did you mean 'walk'?"),
        ("walk: 3", "walk: holds settings of its own"),
        ("walk: {beta: high}", "walk.beta"),
        ("walk: {beta: -1}", "beta = -1.0: must be above 0"),
        ("masks: {alpha: 7}", "masks.alpha = 7.0: must be one of walk.alphas"),
        ("seeds: {low_alpha: 9, high_alpha: 4}", "in this order"),
        ("classifier: {crop_size: 100}", "a multiple of 16"),
        ("- 1", "a config is a mapping of settings"),
        ("a: [", "not a readable YAML file"),
    ],
)
def test_a_wrong_config_file_is_one_clear_line(tmp_path, text, expected):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_config(path, PipelineConfig())
    assert expected in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_network_names_the_known_ones():
    with pytest.raises(InputError, match="known: lite"):
        preset("vgg")


def test_differences_name_the_settings():
    old, new = (to_dict(PipelineConfig(classifier=ClassifierConfig(epochs=e))) for e in (4, 5))
    assert differences(old, new) == ["classifier.epochs: 4 -> 5"]


def test_settings_that_one_version_does_not_have_are_differences():
    assert differences({"walk": {"beta": 8}}, {"walk": {"beta": 8, "steps": None}}) == [
        "walk.steps: no setting -> None"
    ]
    assert differences({"walk": {"beta": 8, "old": 1}}, {"walk": {"beta": 8}}) == ["walk.old: 1 -> no setting"]


@pytest.mark.parametrize(
    "text",
    [
        "split: [&a [x, x, x], "
        + ", ".join(f"&a{i} [*a{i - 1 if i else ''}, *a{i - 1 if i else ''}]" for i in range(40))
        + "]",
        "split: &a [*a]",
        "split: " + "[" * 100_000,
        "seed: !!python/object/apply:os.system ['touch pwned']",
        'seed: "\0"',
        "seed: " + "9" * 5000,
        "walk: {beta: .nan}",
        "split: " + "x" * 2**21,
    ],
    ids=["aliases", "loop", "deep", "object", "NUL", "digits", "NaN", "large"],
)
def test_a_hostile_config_is_one_line(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_config(path, PipelineConfig())
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]
