"""Checkpoints in the wrappers that training scripts write: the network in them is found, or named."""

import argparse
import collections
import enum
import functools
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.models.backbones.registry import pretrained_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.weights.others import describe

NAME = "test_resnet"


class Attributes(dict):
    """Like Lightning's AttributeDict, EasyDict, Munch ...: a dictionary by another class."""


AttributeDict = type("AttributeDict", (dict,), {"__module__": __name__})


class Colour(enum.Enum):
    RED = 1


@dataclass
class Options:
    rate: float = 0.1


class Trained(torch.nn.Module):
    """A network inside somebody's own class."""

    def __init__(self, network):
        super().__init__()
        self.network = network


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return timm.create_model(NAME, num_classes=7)


@pytest.fixture(scope="module")
def state(model):
    return model.state_dict()


def under(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def inside(state, token):
    """Put a wrapper's name into the middle of each name of a block."""
    return {key.replace("layer1.0.", f"layer1.0.{token}."): value for key, value in state.items()}


def other(state):
    return {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}


def loaded(path, name=f"timm:{NAME}"):
    backbone: Any = pretrained_backbone(name, weights=path)
    return backbone, backbone.network.state_dict()


WRAPPERS = {
    "plain": lambda s: s,
    "DataParallel": lambda s: under(s, "module."),
    "torch.compile under DDP": lambda s: {"model": under(s, "module._orig_mod."), "epoch": 3},
    "blocks compiled one by one": lambda s: inside(s, "_orig_mod"),
    "activation checkpointing": lambda s: under(inside(s, "_checkpoint_wrapped_module"), "_fsdp_wrapped_module."),
    "timm": lambda s: {"state_dict": s, "arch": NAME, "args": argparse.Namespace(lr=0.1), "amp_scaler": {"scale": 1.0}},
    "EMA alone": lambda s: {"epoch": 3, "state_dict_ema": s},
    "EMA beside": lambda s: {"model": other(s), "model_ema": s, "optimizer": {"state": {0: {"exp_avg": s["fc.bias"]}}}},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}, "loss": 0.3},
    "net": lambda s: {"net": s, "acc": 90},
    "params": lambda s: {"params": s},
    "Lightning": lambda s: {"state_dict": under(s, "model."), "hyper_parameters": AttributeDict(lr=0.1), "epoch": 1},
    "Lightning, two levels": lambda s: {"state_dict": under(s, "net.backbone."), "callbacks": {"best": Options()}},
    "mmsegmentation": lambda s: {
        "meta": {},
        "state_dict": under(s, "backbone.") | {"decode_head.conv.weight": s["fc.bias"]},
    },
    "segmentation-models-pytorch": lambda s: under(s, "encoder.") | {"decoder.x.weight": s["fc.bias"]},
    "MoCo": lambda s: {"state_dict": under(s, "module.encoder_q.") | under(other(s), "module.encoder_k.")},
    "DINO": lambda s: {"student": under(other(s), "module.backbone."), "teacher": under(s, "backbone.")},
    "fastai": lambda s: {"model": s, "opt": {"state": [{"mom": s["fc.bias"]}], "hypers": []}},
    "Ignite": lambda s: {"trainer": {"epoch": 1}, "model": s},
    "objects of many kinds": lambda s: {
        "state_dict": s,
        "path": pathlib.PurePosixPath("/a"),
        "colour": Colour.RED,
        "best": np.float64(0.5),
        "curve": np.arange(3.0),
        "options": Options(),
        "call": functools.partial(print, 1),
        "counts": collections.defaultdict(int, a=1),
        "table": AttributeDict(a=AttributeDict(b=1)),
        "names": {"a", "b"},
    },
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before zip"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_network_is_found_in_a_wrapper(tmp_path, state, wrapper, zipped):
    path = tmp_path / "w.pth"
    torch.save(WRAPPERS[wrapper](state), path, _use_new_zipfile_serialization=zipped)
    backbone, got = loaded(path)
    assert all(torch.equal(got[key], state[key]) for key in got if not key.endswith("num_batches_tracked"))
    assert "fc.weight" in backbone.loaded


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_that_of_the_file(tmp_path, state, dtype):
    cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    save_file(under(cast, "model."), tmp_path / "w.safetensors")
    _, got = loaded(tmp_path / "w.safetensors")
    assert torch.equal(got["conv1.0.weight"], cast["conv1.0.weight"].float())


def test_which_of_two_networks_was_read_is_said(tmp_path, state):
    torch.save(WRAPPERS["EMA beside"](state), tmp_path / "w.pth")
    backbone, _ = loaded(tmp_path / "w.pth")
    assert "read from 'model_ema' (the file holds it in 'model' as well)" in backbone.loaded


@pytest.mark.parametrize("spelt", ["encoder.model.", ""])
def test_features_saved_by_themselves_have_other_names(tmp_path, spelt):
    """As segmentation-models-pytorch's tu- encoders: stages.0 is stages_0 there, and the head is absent."""
    features = timm.create_model("convnext_atto", features_only=True).state_dict()
    torch.save(under(features, spelt), tmp_path / "w.pth")
    _, got = loaded(tmp_path / "w.pth", "timm:convnext_atto")
    assert torch.equal(got["stages_3.blocks.0.conv_dw.weight"], features["stages_3.blocks.0.conv_dw.weight"])


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "deit_tiny_distilled_patch16_224"])
def test_a_whole_models_weights_are_those_that_timm_gives_its_features(tmp_path, name):
    state = timm.create_model(name, num_classes=5).state_dict()
    torch.save({"state_dict": under(state, "model.")}, tmp_path / "w.pth")
    backbone, got = loaded(tmp_path / "w.pth", f"timm:{name}")
    options = {"features_only": True, "out_indices": backbone.taps, **backbone.request}
    overlay = {"state_dict": state}
    want = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options).state_dict()
    assert all(torch.equal(got[key], want[key]) for key in want if not key.endswith("num_batches_tracked"))


def test_torchvisions_resnet_is_timms(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet18(num_classes=3).state_dict()
    torch.save(theirs, tmp_path / "w.pth")
    _, got = loaded(tmp_path / "w.pth", "timm:resnet18")
    assert torch.equal(got["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])


@pytest.mark.parametrize("prefix", ["", "module.", "state_dict.model."])
def test_a_transformer_of_another_image_size_is_resampled(tmp_path, prefix):
    tuned = timm.create_model("test_vit", img_size=320, num_classes=3)
    torch.save(under(tuned.state_dict(), prefix), tmp_path / "w.pth")
    backbone, got = loaded(tmp_path / "w.pth", "timm:test_vit")
    assert "pos_embed resampled to another image size" in backbone.loaded
    plain = timm.create_model("test_vit").state_dict()
    assert got["model.pos_embed"].shape == plain["pos_embed"].shape
    grid = int((tuned.state_dict()["pos_embed"].shape[1] - 1) ** 0.5)
    before = tuned.state_dict()["pos_embed"][:, 1:].unflatten(1, (grid, grid)).mean((1, 2))
    torch.testing.assert_close(got["model.pos_embed"][:, 1:].mean(1), before, atol=0.01, rtol=0.2)


def test_the_default_network_takes_what_timm_saves_of_it(tmp_path):
    state = timm.create_model("tf_efficientnet_lite0", num_classes=4).state_dict()
    torch.save({"state_dict_ema": under(state, "module.")}, tmp_path / "w.pth")
    backbone, got = loaded(tmp_path / "w.pth", "lite")
    assert torch.equal(got["conv_head.weight"], state["conv_head.weight"])
    assert backbone.loaded.endswith("not used: classifier.bias, classifier.weight")
    assert main(["convert-weights", str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")]) == 0
    assert torch.equal(loaded(tmp_path / "w.safetensors", "lite")[1]["conv_head.weight"], state["conv_head.weight"])


def refusal(path, network=f"timm:{NAME}"):
    with pytest.raises(InputError) as caught:
        pretrained_backbone(network, weights=path)
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    assert str(path) in said
    return said


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"model": m, "epoch": 1}, Trained], ids=["bare", "in", "own"])
def test_a_pickled_model_is_not_run_and_the_cure_is_ours(tmp_path, model, wrap):
    torch.save(wrap(model), tmp_path / "w.pth")
    said = refusal(tmp_path / "w.pth")
    assert "torch.save(model.state_dict(), 'weights.pth')" in said
    assert "ResNet" in said or "Trained" in said


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_torchscript_program_is_not_run(tmp_path, model):
    with torch.no_grad():
        torch.jit.trace(model.eval(), torch.zeros(1, 3, 64, 64)).save(tmp_path / "w.pt")
    assert "a TorchScript program" in refusal(tmp_path / "w.pt")


def test_too_few_arrays_are_refused_and_counted(tmp_path, state):
    torch.save(dict(list(state.items())[:10]), tmp_path / "w.pth")
    needed = sum(not key.endswith("num_batches_tracked") for key in state if not key.startswith("fc."))
    said = refusal(tmp_path / "w.pth")
    assert f" of the {needed} arrays that timm:{NAME} needs are in it" in said
    torch.save({"state_dict": {"a.weight": torch.zeros(2)}}, tmp_path / "w.pth")
    assert f"0 of the {needed} arrays" in refusal(tmp_path / "w.pth")


def test_diverged_weights_are_refused(tmp_path, state):
    torch.save(state | {"conv1.0.weight": torch.full_like(state["conv1.0.weight"], torch.nan)}, tmp_path / "w.pth")
    assert "conv1.0.weight holds NaN or infinity" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "Keras"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\x1f\x8b" + bytes(40), "unpack it first"),
    ],
)
def test_what_is_no_weight_file_is_named(tmp_path, content, said):
    (tmp_path / "w.pth").write_bytes(content)
    assert said in refusal(tmp_path / "w.pth")


SEAM_HEAD = {"fc8.weight": (21, 4096, 1, 1), "f8_3.weight": (64, 512, 1, 1), "f8_4.weight": (128, 1024, 1, 1)}


def test_other_methods_are_named(tmp_path):
    seam = {key: torch.zeros(shape) for key, shape in SEAM_HEAD.items()} | {"f9.weight": torch.zeros(192, 195, 1, 1)}
    torch.save(under(seam | {"conv1a.weight": torch.zeros(64, 3, 3, 3)}, "module."), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"contains SEAM's network.*--network resnet38 --weights"):
        TagClassifier.load(tmp_path / "w.pth")
    torch.save({"layer3.5.conv3.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"a ResNet-50 .*--network timm:resnet50"):
        TagClassifier.load(tmp_path / "w.pth")


def test_a_networks_depth_is_read_from_its_names():
    for depth in (18, 34, 50, 101, 152):
        with torch.device("meta"):
            names = timm.create_model(f"resnet{depth}").state_dict()
        assert describe(under(names, "encoder."))[0] == f"a ResNet-{depth}"


@pytest.mark.parametrize("name", [b"Name\x00pace", b"Na\xed\xa0\x80pace"])
def test_a_class_of_an_impossible_name_is_a_damaged_file(tmp_path, name):
    torch.save(
        {"w": torch.zeros(1), "args": argparse.Namespace()}, tmp_path / "w.pth", _use_new_zipfile_serialization=False
    )
    content = (tmp_path / "w.pth").read_bytes()
    assert b"Namespace" in content
    (tmp_path / "w.pth").write_bytes(content.replace(b"Namespace", name))
    assert "cannot be read as weights" in refusal(tmp_path / "w.pth")
