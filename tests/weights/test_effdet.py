"""effdet's state dicts -> our EfficientDets: names, shapes, settings, outputs."""

import functools
import gzip
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.loading import load_model
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.effdet_members import author_member, port
from efficientvision.weights.foreign import recognise
from efficientvision.weights.identify import identify
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION
from efficientvision.weights.strangers import Refused
from efficientvision.weights.torch_checkpoint import _variables
from tests.cli.test_weights_command import run
from tests.goldens.effdet.fill_effdet import NUM_CLASSES, SIZE, fill_tensor
from tests.goldens.fill import make_input
from tests.weights.made_safetensors import write_safetensors
from tests.weights.made_torch_files import write_zip

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"


@functools.cache
def state_dicts():
    """Network -> tensor -> shape; of the refused networks only what they are known by."""
    return json.loads(gzip.decompress((GOLDENS / "effdet" / "state_dicts.json.gz").read_bytes()))


def shapes_of(network):
    counters = ("num_batches_tracked",)
    shapes = state_dicts()[network].items()
    return {name: tuple(shape) for name, shape in shapes if not name.endswith(counters)}


@pytest.mark.parametrize(
    "network, ours",
    [
        ("tf_efficientdet_d0", "efficientdet-d0"),
        ("tf_efficientdet_lite0", "efficientdet-lite0"),
        ("efficientdet_q0", "efficientdet-d0_qufpn"),
    ],
)
def test_names_and_shapes_are_the_published_ones(network, ours):
    golden = json.loads(gzip.decompress((GOLDENS / "networks.json.gz").read_bytes()))[ours]
    published = {name: tuple(shape) for name, shape, *_ in golden["variables"]}
    shapes = shapes_of(network)
    found = {n: made.shape for n, made in _variables(recognise(network, shapes), shapes).items()}
    assert set(found) == set(published)
    different = {name for name in published if found[name] != published[name]}
    # The state dicts of lite0 and q0 have fewer classes.
    assert {name.rpartition("/")[0] for name in different} <= {"class_net/class-predict"}


def test_d7x_has_a_sixth_level():
    shapes = shapes_of("tf_efficientdet_d7x")
    names = _variables(recognise("d7x.pth", shapes), shapes)
    found = identify({name: made.shape for name, made in names.items()})
    assert (found.model, found.max_level, found.fpn_weight_method) == ("efficientdet-d7x", 8, "sum")


@pytest.mark.parametrize(
    "network, says",
    [
        ("resdet50", "backbone is a ResNet"),
        ("cspdarkdet53", "backbone is a CSPNet"),
        ("mixdet_m", "backbone is a MixNet"),
        ("efficientdetv2_dt", "backbone is an EfficientNetV2"),
        ("efficientdet_es", "backbone is an EfficientNetV2 or EfficientNet-EdgeTPU"),
        ("mobiledetv2_110d", "backbone is no EfficientNet-B0 to B7 or lite"),
        ("efficientdet_w0", "features of 1152 channels from within the backbone's blocks"),
        ("efficientdet_lite0", "use tf_efficientdet_lite0"),
    ],
)
def test_other_networks_of_effdet_are_refused_by_name(network, says):
    with pytest.raises(Refused, match=says):
        recognise("any.pth", shapes_of(network))


@pytest.mark.parametrize(
    "file, backbone, name, model, note",
    [
        ("tf_efficientdet_d0_34-f1.pth", "b0", "tf_efficientdet_d0", None, "name says"),
        ("tf_efficientdet_d0_ap-d0.pth", "b0", "tf_efficientdet_d0_ap", None, "name says"),
        ("tf_efficientdet_d7_53-6d.pth", "b6", "tf_efficientdet_d7", "efficientdet-d7", "d6 has"),
        ("tf_efficientdet_d6_52-4e.pth", "b6", "tf_efficientdet_d6", None, "d7 has the same"),
        ("best.pth", "b6", "tf_efficientdet_d6", None, "`model_name` to efficientdet-d7"),
        ("best.pth", "b4", "tf_efficientdet_d4", None, "`stddev_rgb` to 127.5"),
        ("tf_efficientdet_d7.pth", "b0", "tf_efficientdet_d0", None, "does not tell"),
        ("tf_efficientdet_d7x.pth", "b7", "tf_efficientdet_d7x", None, None),
    ],
)
def test_a_files_name_tells_apart_networks_of_equal_tensors(file, backbone, name, model, note):
    found = port(file, f"efficientnet-{backbone}", 64)
    assert (found.name, found.model) == (name, model)
    assert note in found.notes[0] if note else not found.notes
    expected = INCEPTION if name.endswith("_ap") else IMAGENET
    assert (found.preprocessing.mean_rgb, found.preprocessing.stddev_rgb) == expected


def test_a_config_beside_the_file_tells_too(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "tf_efficientdet_d1_ap"}))
    found = port(str(tmp_path / "model.safetensors"), "efficientnet-b1", 88)
    assert found.name == "tf_efficientdet_d1_ap" and "config.json beside it" in found.notes[0]
    (tmp_path / "config.json").write_text("[" * 10_000)
    assert port(str(tmp_path / "m.safetensors"), "efficientnet-b1", 88).name == "tf_efficientdet_d1"


def test_networks_of_the_author_pad_as_pytorch():
    assert author_member("efficientnet-b0", is_quad=True).settings["padding"] == "symmetric"
    assert author_member("efficientnet-b1", is_quad=True).settings["fpn_resizing"] == "bilinear"
    assert "fpn_resizing" not in author_member("efficientnet-b1", is_quad=False).settings


def filled(network):
    return {n: fill_tensor(n, shape) for n, shape in state_dicts()[network].items()}


def test_a_training_checkpoint_with_averages(tmp_path):
    """The names of effdet's training module, and its moving averages."""
    path = tmp_path / "checkpoint-9.pth.tar"
    raw = {f"model.{name}": value for name, value in filled("efficientdet_q0").items()}
    raw["anchors.boxes"] = np.zeros((5, 4), np.float32)
    averages = {n: v + 1 if v.dtype == np.float32 else v for n, v in raw.items()}
    write_zip(path, {"epoch": 9, "state_dict": raw, "state_dict_ema": averages})
    reader = open_checkpoint(path)
    names = ["fpn_cells/cell_0/fnode0/WSM_1", "efficientnet-b0/stem/conv2d/kernel"]
    for name in names:
        np.testing.assert_allclose(reader.read(name), reader.read(name, ema=False) + 1, rtol=1e-6)
    assert reader.read("efficientnet-b0/stem/tpu_batch_normalization/gamma").shape == (32,)
    assert reader.settings["padding"] == "symmetric"
    assert "anchors.boxes" in reader.auxiliary and "anchors.boxes" not in reader.names()


def test_a_weight_of_the_fusion_is_missing(tmp_path):
    tensors = filled("tf_efficientdet_lite0")
    tensors["fpn.cell.0.fnode.0.combine.edge_weights"] = np.zeros(3, np.float32)
    write_zip(tmp_path / "a.pth", tensors)
    with pytest.raises(UserError, match=r"has shape \[3\], expected \[2\]"):
        open_checkpoint(tmp_path / "a.pth")


def test_a_missing_bias_is_not_another_network():
    shapes = shapes_of("tf_efficientdet_d0")
    del shapes["fpn.resample.3.conv.conv.bias"]
    with pytest.raises(Refused, match="lacks fpn.resample.3.conv.conv.bias"):
        recognise("tf_efficientdet_d0.pth", shapes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network, tolerance",
    [("tf_efficientdet_lite0", 2e-4), ("efficientdet_q0", 1e-5), ("efficientdet_q1", 1e-5)],
)
def test_outputs_are_effdets(tmp_path, network, tolerance):
    """effdet 0.4.1 in float64, its tensors filled from their names."""
    path = tmp_path / f"{network}.safetensors"
    write_safetensors(path, filled(network))
    loaded = load_model(path, image_size=SIZE)
    assert loaded.config.num_classes == NUM_CLASSES
    golden = np.load(GOLDENS / "effdet" / "outputs.npz")
    for kind, maps in zip(("class", "box"), loaded.model(make_input(SIZE)), strict=True):
        values = np.concatenate([np.ravel(level) for level in maps])
        expected = golden[f"{network}/{kind}"]
        assert np.abs(values - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.slow
def test_the_commands(tmp_path, capsys):
    """Those of docs/weights.md."""
    path, output = tmp_path / "tf_efficientdet_lite0.pth", tmp_path / "lite0.weights.h5"
    write_zip(path, filled("tf_efficientdet_lite0"))
    assert run("show", path) in (None, 0)
    assert run("convert", path, output) in (None, 0)
    printed = capsys.readouterr().out
    assert f"efficientdet-lite0 for detection with {NUM_CLASSES} classes" in printed
    assert "mean_rgb=127.5" in printed and "effdet's tf_efficientdet_lite0" in printed
    assert "does not hold these hyper-parameters: load it with aspect_ratios=" in printed
    converted = open_checkpoint(output)
    name = "fpn_cells/cell_1/fnode3/op_after_combine8/conv/pointwise_kernel"
    np.testing.assert_array_equal(converted.read(name), open_checkpoint(path).read(name))

    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(photos / "a.png")
    ev.predict(str(path), str(photos), folder=str(tmp_path / "out"), hparams=f"image_size={SIZE}")
    assert (tmp_path / "out" / "predictions.json").exists()


@pytest.mark.slow
def test_another_padding_is_noted(tmp_path):
    write_safetensors(tmp_path / "q0.safetensors", filled("efficientdet_q0"))
    options = {"num_classes": NUM_CLASSES, "image_size": SIZE, "fpn_name": "qufpn"}
    model = ev.build_model("efficientdet-d0", **options)
    report = ev.load_weights(model, tmp_path / "q0.safetensors")
    assert "set `padding` to symmetric for the same results" in str(report)
