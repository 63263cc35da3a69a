"""Published EdgeNets files -> our variables: names, layouts, encoders at other places."""

import functools
import gzip
import json
import pathlib

import keras
import numpy as np
import pytest

from efficientvision.backbones.encoder import edge_network
from efficientvision.backbones.espnetv2 import ESPNetv2
from efficientvision.errors import UserError
from efficientvision.tasks.classification.network import build_classifier
from efficientvision.tasks.detection.efficientdet import efficientdet
from efficientvision.training.checkpoints import Checkpoint, CheckpointFolder
from efficientvision.weights import names as naming
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.identify import identify
from efficientvision.weights.load import load_weights
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.weights.conftest import SMALL, shallow, small_detector
from tests.weights.made_torch_files import write_legacy, write_zip

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "edgenets"
PUBLISHED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "weights" / "edgenets"
IMAGE_HW = (64, 64)
CLASSIFIERS = ["espnetv2_s_0.5", "dicenet_s_0.2", "shufflenetv2_s_0.5"]


@functools.cache
def state_dict(network):
    """Arrays of the published names and shapes, by name."""
    shapes = json.loads(gzip.decompress((GOLDENS / "state_dicts.json.gz").read_bytes()))[network]
    rng = np.random.default_rng(len(network))
    return {
        name: rng.standard_normal(shape).astype(np.float32) if shape else np.int64(9)
        for name, shape in shapes.items()
    }


def weights_of(arrays):
    """Those that a network has: all but the step counters."""
    return {n: a for n, a in arrays.items() if not n.endswith("num_batches_tracked")}


@functools.cache
def classifier(name):
    """A classifier of 64x64 pixels (but for DiCENet's kernels, sizes change no variable)."""
    return build_classifier(name, image_hw=IMAGE_HW, num_classes=1000)


@functools.cache
def encoder(place):
    """An ESPNetv2 as the encoder of a larger network, whose other layers do not matter here."""
    images = keras.Input((*IMAGE_HW, 3))
    with shallow():
        features = ESPNetv2(0.5, name=place)(images)
    return keras.Model(images, features[5])


@functools.cache
def detector():
    with shallow():
        return efficientdet(
            name="efficientdet-d0",
            backbone=edge_network("espnetv2_s_0.5"),
            image_hw=(128, 128),
            num_classes=3,
            **SMALL,
        )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Writes the state dict of a network, once; its path."""
    folder = tmp_path_factory.mktemp("edgenets")

    @functools.cache
    def path(network):
        file = folder / f"{network}.pth"
        write_legacy(file, state_dict(network), location="cuda:0")
        return file

    return path


def our_layout(array):
    """PyTorch's layout of a weight -> ours, written another way than in the library."""
    if array.ndim == 4:
        return np.moveaxis(np.moveaxis(array, 1, -1), 0, -1)
    return array.T if array.ndim == 2 else array


def clear(model):
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))


def values_of(model):
    """Value by the variable's own path."""
    return {variable.path: variable.numpy() for variable in model.weights}


def assert_holds(model, arrays, path_of):
    """The variable at `path_of(layers, kind of weight)` holds each of the arrays."""
    words = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    values = values_of(model)
    for name, array in arrays.items():
        layers, _, word = name.rpartition(".")
        tried = {
            "weight": ["kernel", "gamma", "alpha"],
            "bias": ["bias", "beta"],
        }.get(word, [words.get(word)])
        paths = {path.replace("/", "."): path for path in values}
        found = [paths[p] for leaf in tried if (p := f"{path_of(layers)}.{leaf}") in paths]
        assert len(found) == 1, name
        np.testing.assert_array_equal(values[found[0]], our_layout(array), err_msg=name)


@pytest.mark.parametrize("write", [write_legacy, write_zip])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_weight_of_a_classifier(tmp_path, capsys, name, write):
    arrays = state_dict(f"{name} classification")
    model = classifier(name)
    clear(model)
    parallel = {f"module.{key}": value for key, value in arrays.items()}
    write(tmp_path / "net.pth", {"epoch": 1, "state_dict": parallel}, location="cuda:0")
    report = load_weights(model, tmp_path / "net.pth")
    assert len(report.loaded) == len(model.weights) == len(weights_of(arrays))
    assert not report.missing and not report.unused and not report.skipped
    assert report.kind == "torch" and report.auxiliary == len(arrays) - len(report.loaded)
    assert set(report.counts()) == {"backbone", "classifier_head"}
    assert_holds(model, weights_of(arrays), lambda layers: f"{name}.{layers}")
    printed = capsys.readouterr().out
    assert "(torch)" in printed and "were not needed" in printed


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_another_number_of_classes_keeps_its_last_layer(tmp_path, name):
    """The file is of seven classes, the network of a thousand."""
    arrays = {
        key: array[:7] if array.shape[:1] == (1000,) else array
        for key, array in state_dict(f"{name} classification").items()
    }
    write_zip(tmp_path / "net.pth", arrays)
    model = classifier(name)
    clear(model)
    report = load_weights(model, tmp_path / "net.pth", verbose=False)
    assert all(key.startswith("classifier.") for key in report.skipped)
    assert {(ours[-1], theirs[-1]) for ours, theirs in report.skipped.values()} == {(1000, 7)}
    assert len(report.loaded) + len(report.skipped) == len(model.weights)
    values = naming.published_variables(model)
    assert not any(np.any(values[key]) for key in report.skipped)
    with pytest.raises(UserError, match="classifier"):
        load_weights(model, tmp_path / "net.pth", allow_class_head_mismatch=False, verbose=False)


def test_the_encoder_of_a_segmentation_file_begins_a_classifier(saved):
    arrays = state_dict("espnetv2_s_0.5 segmentation")
    model = classifier("espnetv2_s_0.5")
    clear(model)
    report = load_weights(model, saved("espnetv2_s_0.5 segmentation"), verbose=False)
    counts = report.counts()
    # The published network ends at level 4; what it lacks is no sign of another network.
    assert report.backbone_match == 1 and counts["backbone"]["missing"] > 100
    assert all(name.startswith(("level5", "classifier")) for name in report.missing)
    assert counts["decoder"]["unused"] == len(report.unused)
    inner = {n.removeprefix("base_net."): a for n, a in weights_of(arrays).items() if "level" in n}
    assert_holds(model, inner, lambda layers: f"espnetv2_s_0.5.{layers}")


@pytest.mark.parametrize("place", ["base_net", "base_net.basenet"])
def test_a_classifier_begins_larger_networks(saved, place):
    model = encoder(place)
    clear(model)
    report = load_weights(model, saved("espnetv2_s_0.5 classification"), verbose=False)
    assert not report.missing and len(report.loaded) == len(model.weights)
    assert all(name.startswith(f"{place}.level") for name in report.loaded)
    assert report.counts()["classifier_head"] == {
        "loaded": 0,
        "skipped": 0,
        "missing": 0,
        "unused": 2,
    }


def test_a_segmentation_file_fits_its_own_place(saved):
    model = encoder("base_net")
    clear(model)
    report = load_weights(model, saved("espnetv2_s_0.5 segmentation"), verbose=False)
    assert {name.split(".")[1][:6] for name in report.loaded} == {
        "level1",
        "level2",
        "level3",
        "level4",
    }
    arrays = weights_of(state_dict("espnetv2_s_0.5 segmentation"))
    assert_holds(model, {n: a for n, a in arrays.items() if n in report.loaded}, str)


def test_a_classifier_begins_a_detector(saved):
    model = detector()
    clear(model)
    report = load_weights(
        model, saved("espnetv2_s_0.5 classification"), parts=["backbone"], verbose=False
    )
    assert report.backbone_match == 1 and set(map(naming.part_of, report.loaded)) == {"backbone"}
    arrays = weights_of(state_dict("espnetv2_s_0.5 classification"))
    assert_holds(
        model,
        {n: a for n, a in arrays.items() if n in report.loaded},
        lambda layers: f"espnetv2_s_0.5.{layers}",
    )
    assert "fpn" in {naming.part_of(name) for name in report.excluded}


@pytest.mark.parametrize(
    "model_name, network, says",
    [
        (
            "espnetv2_s_0.5",
            "espnetv2_s_2.0 detection",
            r"another shape.*looks like espnetv2_s_2\.0 for detection with 21 classes.*"
            r"checkpoint espnetv2_s_2\.0, model espnetv2_s_0\.5",
        ),
        (
            "espnetv2_s_0.5",
            "dicenet_s_0.5 segmentation",
            r"only 0% of the backbone.*looks like dicenet_s_0\.5 for segmentation with 20 classes",
        ),
        (
            "shufflenetv2_s_0.5",
            "dicenet_s_0.2 classification",
            r"looks like dicenet_s_0\.2 for classification with 1000 classes",
        ),
    ],
)
def test_the_error_says_what_the_file_is(saved, model_name, network, says):
    model = classifier(model_name)
    before = values_of(model)
    with pytest.raises(UserError, match=says):
        load_weights(model, saved(network), verbose=False)
    for path, value in values_of(model).items():
        np.testing.assert_array_equal(value, before[path])


def test_a_file_of_another_family_in_an_efficientdet(saved):
    with pytest.raises(
        UserError, match=r"does not fit efficientdet-d0.*looks like espnetv2_s_0\.5"
    ):
        load_weights(small_detector(3), saved("espnetv2_s_0.5 classification"), verbose=False)


@pytest.mark.parametrize(
    "network, expected",
    [
        ("espnetv2_s_0.5 classification", ("espnetv2_s_0.5", "classification", 1000)),
        ("dicenet_s_0.2 classification", ("dicenet_s_0.2", "classification", 1000)),
        ("shufflenetv2_s_0.5 classification", ("shufflenetv2_s_0.5", "classification", 1000)),
        ("espnetv2_s_0.5 segmentation", ("espnetv2_s_0.5", "segmentation", 21)),
        ("dicenet_s_0.5 segmentation", ("dicenet_s_0.5", "segmentation", 20)),
        ("espnetv2_s_2.0 detection", ("espnetv2_s_2.0", "detection", 21)),
    ],
)
def test_files_tell_their_network(saved, network, expected):
    found = identify(saved(network))
    assert (found.model, found.task, found.num_classes) == expected


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not here")
def test_published_files_tell_what_their_names_say():
    paths = sorted(PUBLISHED.glob("*.pth"))
    assert paths
    for path in paths:
        found = identify(path)
        name, data_set, _ = path.stem.rsplit("_", 2)
        assert found.model == name and found.task == "segmentation"
        assert found.num_classes == {"city": 20, "pascal": 21}[data_set]


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not here")
def test_a_published_file_begins_a_classifier():
    model = build_classifier("espnetv2_s_1.0", image_hw=IMAGE_HW)
    report = load_weights(model, PUBLISHED / "espnetv2_s_1.0_city_512x256.pth", verbose=False)
    assert report.backbone_match == 1 and len(report.loaded) == 315


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_own_keras_files(tmp_path, saved, ending):
    model = classifier("espnetv2_s_0.5")
    load_weights(model, saved("espnetv2_s_0.5 classification"), verbose=False)
    expected = values_of(model)
    path = tmp_path / f"model{ending}"
    (model.save if ending == ".keras" else model.save_weights)(path)
    found = identify(path)
    assert (found.model, found.task, found.num_classes) == (
        "espnetv2_s_0.5",
        "classification",
        1000,
    )
    clear(model)
    report = load_weights(model, path, verbose=False)
    assert not report.missing and not report.unused
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("build", [lambda: classifier("dicenet_s_0.2"), detector])
def test_own_runs(tmp_path, build):
    model = build()
    rng = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape))
    expected = values_of(model)
    averages = {path: value * 2 for path, value in expected.items()}
    CheckpointFolder(tmp_path).save(Checkpoint(weights=expected, ema=averages, step=5))
    clear(model)
    report = load_weights(model, tmp_path, verbose=False)
    assert not report.missing and not report.unused and report.num_averaged == len(expected)
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(value, averages[name], err_msg=name)


def test_tensorflow_checkpoint_of_a_detector_on_an_edge_network(tmp_path):
    model = detector()
    rng = np.random.default_rng(6)
    arrays = {
        name: rng.standard_normal(variable.shape).astype(np.float32)
        for name, variable in naming.published_variables(model).items()
    }
    slots = {"level1.conv.weight/Momentum": np.zeros(3, np.float32)}
    prefix = write_tf1_checkpoint(tmp_path / "model", {**arrays, **slots})
    clear(model)
    report = load_weights(model, prefix, verbose=False)
    assert len(report.loaded) == len(arrays) and report.auxiliary == 1
    for name, variable in naming.published_variables(model).items():
        np.testing.assert_array_equal(variable.numpy(), arrays[name], err_msg=name)


def test_the_content_counts_not_the_ending(tmp_path, saved):
    content = saved("dicenet_s_0.2 classification").read_bytes()
    for name in ("weights", "model.ckpt", "weights.h5", "checkpoint.pth.tar"):
        (tmp_path / name).write_bytes(content)
        assert open_checkpoint(tmp_path / name).kind == "torch"
    page = tmp_path / "page.pth"
    page.write_bytes(b"<html>Sign in</html>")
    with pytest.raises(UserError, match="web page"):
        open_checkpoint(page)
    with pytest.raises(UserError, match="no such file"):
        open_checkpoint(tmp_path / "nowhere.pth")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "net.pth").write_bytes(content)
    assert open_checkpoint(tmp_path / "folder").path == str(tmp_path / "folder" / "net.pth")
