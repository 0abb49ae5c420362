"""Weight files of every origin: read to the same numbers, and damaged ones refused in one line."""

import pickle
import random
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from safetensors.torch import save_file

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone, pretrained_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.weights.files import read_weight_file
from affinitynet.models.weights.names import from_torchvision_vgg16, read_weights
from tests.support.golden_weights import released_state

# ---- writers -----------------------------------------------------------------------------------------------


def caffe_messages():
    """Caffe's messages, as its public caffe.proto declares them."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe_test.proto", package="caffe", syntax="proto2")

    def declare(name, *fields):
        message = file.message_type.add(name=name)
        for field, number, label, kind, *packed in fields:
            entry = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                entry.type = kind
            if packed:
                entry.options.packed = True

    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    declare("BlobShape", ("dim", 1, many, kinds.TYPE_INT64, True))
    sizes = [(side, i, one, kinds.TYPE_INT32) for i, side in enumerate(("num", "channels", "height", "width"), 1)]
    blob_fields = [("data", 5, many, kinds.TYPE_FLOAT, True), ("shape", 7, one, "BlobShape")]
    declare("BlobProto", *sizes, *blob_fields)
    declare("V1LayerParameter", ("name", 4, one, kinds.TYPE_STRING), ("blobs", 6, many, "BlobProto"))
    declare("LayerParameter", ("name", 1, one, kinds.TYPE_STRING), ("blobs", 7, many, "BlobProto"))
    layers = [("layers", 2, many, "V1LayerParameter"), ("layer", 100, many, "LayerParameter")]
    declare("NetParameter", ("name", 1, one, kinds.TYPE_STRING), *layers)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def write_caffe(path, tensors, old):
    """Write name.weight, name.bias, ... as layers with blobs; ``old``: the form of 2014."""
    net = caffe_messages()(name="net")
    layers = {}
    for key, tensor in tensors.items():
        name = key.rpartition(".")[0]
        if name not in layers:
            layers[name] = (net.layers if old else net.layer).add(name=name)
        blob = layers[name].blobs.add()
        blob.data.extend(tensor.flatten().tolist())
        if old:
            sizes = [1] * (4 - tensor.ndim) + list(tensor.shape)
            blob.num, blob.channels, blob.height, blob.width = sizes
        else:
            blob.shape.dim.extend(tensor.shape)
    path.write_bytes(net.SerializeToString())
    return path


def write_mxnet(path, tensors, form):
    """Write an NDArray list in one of its three forms: "2016", "v1", "v2"."""
    content = struct.pack("<QQQ", 0x112, 0, len(tensors))
    for tensor in tensors.values():
        array = tensor.numpy()
        if form == "2016":
            content += struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
        else:
            content += struct.pack("<I", 0xF993FAC8) if form == "v1" else struct.pack("<Ii", 0xF993FAC9, 0)
            content += struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape)
        content += struct.pack("<iii", 1, 0, 0) + array.astype("<f4").tobytes()
    content += struct.pack("<Q", len(tensors))
    for name in tensors:
        content += struct.pack("<Q", len(name)) + name.encode()
    path.write_bytes(content)
    return path


def mxnet_name(key):
    """Return MXNet's name of a key of the released ResNet-38."""
    layer, kind = key.rsplit(".", 1)
    if "." in layer:
        block, branch = layer.split(".")
        number, _, repeat = block[1:].partition("_")
        branch = branch.removeprefix("conv_").removeprefix("bn_")
        layer = f"{'bn' if '.bn_' in key else 'res'}{number}{f'b{repeat}' if repeat else 'a'}_{branch}"
    if not layer.startswith("bn"):
        return f"arg:{layer}_{kind}"
    names = {"weight": "arg:%s_gamma", "bias": "arg:%s_beta"}
    names |= {"running_mean": "aux:%s_moving_mean", "running_var": "aux:%s_moving_var"}
    return names[kind] % layer


SMALL = {
    "a.weight": torch.arange(24.0).view(2, 3, 2, 2),
    "a.bias": torch.tensor([0.5, -1]),
    "b.weight": torch.rand(3, 2),
}


def small_file(folder, kind):
    path = folder / f"{kind}.bin"
    if kind.startswith("caffe"):
        return write_caffe(path, SMALL, old=kind == "caffe-2014")
    if kind.startswith("mxnet"):
        return write_mxnet(path, SMALL, kind.removeprefix("mxnet-"))
    if kind == "safetensors":
        save_file(SMALL, path)
    elif kind == "torch":
        torch.save({"state_dict": {f"module.{key}": value for key, value in SMALL.items()}, "epoch": 3}, path)
    else:
        torch.save(SMALL, path, _use_new_zipfile_serialization=False)
    return path


KINDS = ["caffe", "caffe-2014", "mxnet-2016", "mxnet-v1", "mxnet-v2", "safetensors", "torch", "torch-before-zip"]

# ---- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_tensors(tmp_path, kind):
    stored = read_weight_file(small_file(tmp_path, kind)).tensors
    found = {key.removeprefix("state_dict.module."): tensor for key, tensor in stored.items()}
    assert set(found) == set(SMALL)
    for key, value in SMALL.items():
        torch.testing.assert_close(found[key].reshape(value.shape), value)


def outcome(path):
    """Return the tensors, or the complaint."""
    try:
        return read_weight_file(path).tensors, ""
    except InputError as error:
        return {}, str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_in_one_line(tmp_path, kind):
    whole = small_file(tmp_path, kind).read_bytes()
    dice = random.Random(kind)
    refused = 0
    for number in range(100):
        content = bytearray(whole)
        if number % 2:
            content = content[: dice.randrange(len(content))]
        else:  # huge lengths and flipped bytes, most of them near the start, where the lengths are
            for _ in range(dice.randint(1, 6)):
                place = min(dice.randrange(len(content)), dice.randrange(len(content)))
                content[place] = dice.choice((0xFF, 0x7F, 0x00, content[place] ^ (1 << dice.randrange(8))))
        path = tmp_path / "damaged"
        path.write_bytes(content)
        tensors, complaint = outcome(path)
        if complaint:
            refused += 1
            assert str(path) in complaint
            assert "\n" not in complaint
        else:  # a changed number or name is no damage to the format
            assert sum(t.numel() for t in tensors.values()) <= len(whole)
    assert refused >= 50


def test_pickles_run_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "evil.pth"
    torch.save({"a": Evil()}, path)
    with pytest.raises(InputError, match="would have to be run"):
        read_weight_file(path)
    torch.save({"a": Evil(), "state_dict": SMALL}, path)  # weights beside it are read without it
    assert len(read_weight_file(path).tensors) == len(SMALL)
    path.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weight_file(path)
    assert not (tmp_path / "ran").exists()


def test_claims_larger_than_the_file_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1).expand(10**12)}, path)
    with pytest.raises(InputError, match="claims more"):
        read_weight_file(path)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    with pytest.raises(InputError, match="compressed"):
        read_weight_file(packed)


def test_missing_and_unknown_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_weights(tmp_path / "absent.pth")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    with pytest.raises(InputError, match="neither safetensors"):
        read_weights(tmp_path / "photo.jpg")


# ---- networks --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg16():
    model = TagClassifier(build_backbone("vgg16"), ["a", "b", "c"])
    return released_state(model)


def output(backbone):
    with torch.inference_mode():
        return backbone.eval()(torch.linspace(-90, 90, 3 * 40 * 48).view(1, 3, 40, 48))[-1]


@pytest.mark.parametrize("old", [True, False], ids=["2014", "now"])
def test_a_caffe_model_starts_vgg16(tmp_path, vgg16, old):
    layers = {key: value for key, value in vgg16.items() if not key.startswith("fc8")}
    tv = {**layers, "fc8.weight": torch.zeros(5, 1024, 1, 1), "fc8.bias": torch.zeros(5)}  # ImageNet's head
    path = write_caffe(tmp_path / "vgg.caffemodel", tv, old)
    backbone = pretrained_backbone("vgg16", weights=path)
    plain = build_backbone("vgg16")
    plain.load_state_dict(layers)
    torch.testing.assert_close(output(backbone), output(plain))
    assert read_weights(path).left == ("fc8.bias", "fc8.weight")


def test_a_released_checkpoint_loads_converts_and_reloads(tmp_path, vgg16):
    torch.save({"state_dict": {f"module.{key}": value for key, value in vgg16.items()}}, tmp_path / "cls.pth")
    first = TagClassifier.load(tmp_path / "cls.pth", ["x", "y", "z"])
    save_weights(tmp_path / "cls.safetensors", first.state_dict(), first.settings)
    again = TagClassifier.load(tmp_path / "cls.safetensors")
    assert again.classes == ("x", "y", "z")
    x = torch.rand(1, 3, 40, 48) * 200 - 100
    with torch.inference_mode():
        assert torch.equal(first(x), again(x))
    assert torch.equal(output(pretrained_backbone("vgg16", weights=tmp_path / "cls.pth")), output(first.backbone))
    with pytest.raises(InputError, match="contains a classifier of vgg16, not an AffinityNet"):
        AffinityNet.load(tmp_path / "cls.pth")


def test_what_does_not_fit_is_named(tmp_path, vgg16):
    path = tmp_path / "w.pth"
    for change, complaint in (
        ({"conv3_2.weight": torch.zeros(2, 2)}, r"conv3_2.weight is \[2, 2\]"),
        ({"conv9_9.weight": torch.zeros(1)}, "conv9_9.weight"),
        ({"conv4_1.bias": None}, "has no 'backbone.conv4_1.bias'"),
    ):
        torch.save({key: value for key, value in (vgg16 | change).items() if value is not None}, path)
        with pytest.raises(InputError, match=complaint):
            TagClassifier.load(path)
    with pytest.raises(InputError, match="contains vgg16, not --network lite"):
        pretrained_backbone("lite", weights=path)


def test_resnet38_needs_a_file():
    with pytest.raises(InputError, match="pass a weight file with --weights"):
        pretrained_backbone("resnet38")


@pytest.mark.parametrize("form", ["2016", "v1", "v2"])
def test_mxnets_names_are_the_released_keys(tmp_path, form):
    """The names alone, with numbers in place of ResNet-38's hundred million weights."""
    with torch.device("meta"):
        keys = [key for key in build_backbone("resnet38").state_dict() if not key.endswith("num_batches_tracked")]
    tensors = {mxnet_name(key): torch.tensor([float(i)]) for i, key in enumerate(keys)}
    tensors["arg:linear1000_weight"] = torch.zeros(4, 4)
    found = read_weights(write_mxnet(tmp_path / "r.params", tensors, form))
    assert found.network == "resnet38"
    assert found.left == ("backbone.linear1000_weight",)
    assert {key: int(value) for key, value in found.state.items()} == {
        f"backbone.{key}": i for i, key in enumerate(keys)
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", ["2016", "v1", "v2"])
def test_a_whole_resnet38_loads_converts_and_reloads(tmp_path, form, capsys):
    plain = build_backbone("resnet38").eval()
    state = {k: v for k, v in released_state(plain).items() if not k.endswith("num_batches_tracked")}
    plain.load_state_dict(state, strict=False)
    path = write_mxnet(tmp_path / "r.params", {mxnet_name(key): value for key, value in state.items()}, form)
    assert main(["convert-weights", str(path), str(tmp_path / "r.safetensors")]) == 0
    assert "resnet38" in capsys.readouterr().out
    for file in (path, tmp_path / "r.safetensors"):
        assert torch.equal(output(pretrained_backbone("resnet38", weights=file)), output(plain))


def test_torchvisions_vgg16_sees_the_same_picture():
    """Its convolutions, on its own input, and ours, on Caffe's, agree away from the border's padding."""
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model = torchvision.models.vgg16(weights=None).eval()
    backbone: Any = build_backbone("vgg16").eval()
    state = from_torchvision_vgg16(model.state_dict())
    backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")})
    image = torch.rand(1, 3, 64, 64)

    def normalised(mean, std):
        return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.inference_mode():
        theirs = model.features[:4](normalised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        ours = backbone.conv1_2(backbone.conv1_1(normalised(backbone.mean, backbone.std).flip(1)).relu()).relu()
    np.testing.assert_allclose(ours[..., 4:-4, 4:-4], theirs[..., 4:-4, 4:-4], atol=1e-4)
    kernel = model.classifier[0].weight.view(4096, 512, 7, 7)
    assert torch.equal(backbone.fc6.weight[5, 7, 1, 2], kernel[20, 7, 3, 6])
    assert torch.equal(backbone.fc7.weight[3, 2, 0, 0], model.classifier[3].weight[12, 8])


def test_the_command_says_what_was_matched(tmp_path, vgg16, capsys):
    source, target = tmp_path / "cls.pth", tmp_path / "cls.safetensors"
    torch.save(vgg16, source)
    assert main(["convert-weights", str(source), str(target), "--classes", "x, y,z"]) == 0
    said = capsys.readouterr().out
    assert "PyTorch checkpoint, a classifier of vgg16" in said
    assert "matched: 31 tensors" in said
    assert TagClassifier.load(target).classes == ("x", "y", "z")
    for arguments, complaint in (
        ([str(source), str(target)], "exists"),
        ([str(source), "w.pth"], "written as safetensors"),
    ):
        assert main(["convert-weights", *arguments]) == 2
        assert complaint in capsys.readouterr().err
