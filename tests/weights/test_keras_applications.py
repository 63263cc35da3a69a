"""Weight files of keras.applications and keras-hub in our EfficientNets; Keras' own download."""

import dataclasses
import gzip
import hashlib
import json

import h5py
import numpy as np
import pytest

from efficientvision.backbones.efficientnet import EfficientNet
from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import CheckpointReader, open_checkpoint
from efficientvision.weights.edgenet_names import name_from_path
from efficientvision.weights.efficientnet_shapes import backbone_shapes
from efficientvision.weights.identify import identify
from efficientvision.weights.keras_applications import imagenet_file
from efficientvision.weights.keras_applications_names import published, published_names
from efficientvision.weights.load import load_weights
from tests.conftest import REPOSITORY

# Network -> path of a Keras variable -> shape, as keras.applications and keras-hub build them.
with gzip.open(REPOSITORY / "tests/goldens/keras_applications.json.gz") as file:
    NETWORKS = json.load(file)
B0 = NETWORKS["efficientnet-b0"]
MEAN, STDDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_variable_has_one_published_name(network):
    shapes = {name_from_path(path): tuple(shape) for path, shape in NETWORKS[network].items()}
    names = published_names(shapes)
    ours = {ours: shapes[name] for name, ours in names.items()}
    assert len(ours) == len(names)
    left = {name for name in shapes if name not in names}
    assert all("normalization" in name for name in left)
    backbone = backbone_shapes(network.rpartition(" ")[2])
    assert {name: ours[name] for name in backbone} == backbone
    head = {name: shape for name, shape in ours.items() if name not in backbone}
    width = head["head/conv2d/kernel"][-1]
    assert head.pop("head/dense/kernel", (width, 1000)) == (width, 1000)
    assert set(head) - {"head/dense/bias"} == {
        "head/conv2d/kernel",
        *(f"head/tpu_batch_normalization/{leaf}" for leaf in ("gamma", "beta")),
        *(f"head/tpu_batch_normalization/moving_{leaf}" for leaf in ("mean", "variance")),
    }


def write_keras2(path, shapes, values):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"stem_conv"]
        for name, shape in shapes.items():
            data = values.get(name)
            file.create_dataset(f"{name.partition('/')[0]}/{name}:0", shape, "f4", data=data)


def write_keras3(path, shapes, values):
    """Numbers the variables of each layer, within the network's name."""
    with h5py.File(path, "w") as file:
        file.create_group("vars").attrs["name"] = "efficientnetb0"
        for name, shape in shapes.items():
            layer = file.require_group(f"layers/{name.partition('/')[0]}/vars")
            layer.attrs["name"] = name.partition("/")[0]
            layer.create_dataset(str(len(layer)), shape, "f4", data=values.get(name))


WRITERS = {"efficientnetb0.h5": write_keras2, "net.weights.h5": write_keras3}


def normalization(mean, variance):
    return {"normalization/mean": mean, "normalization/variance": variance}


@pytest.mark.parametrize("name", WRITERS)
def test_files_tell_network_and_preprocessing(tmp_path, name):
    """Values that are not written take no room: the file is small."""
    path = tmp_path / name
    WRITERS[name](path, B0, normalization(MEAN, STDDEV))
    reader = open_checkpoint(path)
    assert len(reader.names()) == 311
    assert len(reader.auxiliary) == 3
    assert identify(reader).model == "efficientnet-b0"
    assert identify(reader).num_classes == 1000
    assert reader.preprocessing.mean_rgb == (123.675, 116.28, 103.53)
    assert reader.preprocessing.stddev_rgb == (58.395, 57.12, 57.375)
    assert reader.preprocessing.source == "keras.applications"


def in_memory(shapes, values=()):
    """A reader as `keras_files` makes it, of values by path; the others are 2."""
    named = {name_from_path(path): tuple(shape) for path, shape in shapes.items()}
    values = {name_from_path(path): np.float32(value) for path, value in dict(values).items()}
    return CheckpointReader(
        path="net.h5",
        kind="keras",
        shapes=named,
        keys={name: name for name in named},
        fetch=lambda keys: [values.get(key, np.full(named[key], 2.0, "f4")) for key in keys],
    )


@pytest.mark.parametrize(
    ("mean", "variance", "mean_rgb", "stddev_rgb"),
    [
        ((0, 0, 0), (1, 1, 1), (0, 0, 0), (255, 255, 255)),  # weights=None
        ((0.5, 0.4, 0.3), (0.25, 0.04, 0.01), (127.5, 102, 76.5), (127.5, 51, 25.5)),
    ],
)
def test_other_normalisations_inside_the_network(mean, variance, mean_rgb, stddev_rgb):
    found = published(in_memory(B0, normalization(mean, variance))).preprocessing
    assert found.mean_rgb == pytest.approx(mean_rgb)
    assert found.stddev_rgb == pytest.approx(stddev_rgb)


@pytest.mark.parametrize("variance", [(1, 1, np.nan), (1, 0, 1), (1, 1, -1)])
def test_impossible_normalisations_are_refused(variance):
    with pytest.raises(UserError, match=r"net\.h5 holds impossible numbers"):
        published(in_memory(B0, normalization(MEAN, variance)))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"block1a_dwconv/kernel": [3, 3, 16, 1]}, "other than EfficientNet-B0 to B8"),
        ({"other/top_conv/kernel": [1, 1, 320, 1280]}, "holds two EfficientNets"),
    ],
)
def test_unknown_architectures_are_refused(changed, complaint):
    with pytest.raises(UserError, match=complaint):
        published(in_memory({**B0, **changed}))


def test_other_files_stay_as_they_are():
    reader = in_memory({"box_net/box-0/kernel": [3, 3, 2, 2]})
    assert published(reader) is reader


def test_keras_hub_has_another_epsilon_and_padding():
    reader = published(in_memory(NETWORKS["keras-hub efficientnet-lite0"]))
    statistics = "efficientnet-lite0/stem/tpu_batch_normalization"
    np.testing.assert_allclose(reader.read(f"{statistics}/moving_variance"), 2.0 + 1e-5 - 1e-3)
    np.testing.assert_array_equal(reader.read(f"{statistics}/moving_mean"), 2.0)
    assert "keras-hub pads" in reader.notes[0]
    assert reader.preprocessing.mean_rgb == (123.675, 116.28, 103.53)


def test_some_presets_of_keras_hub_have_pixels_from_minus_one_to_one():
    path = "efficientnet_b0_ra4_e3600_r224_imagenet/2/model.weights.h5"
    opened = in_memory(NETWORKS["keras-hub efficientnet-lite0"])
    found = published(dataclasses.replace(opened, path=path)).preprocessing
    assert found.mean_rgb == found.stddev_rgb == (127.5,) * 3


class TestImagenetFile:
    """Keras' tables are replaced by those of a small file; nothing answers at the address."""

    @pytest.fixture(autouse=True)
    def tables(self, monkeypatch):
        from keras.src.applications import efficientnet

        checksums = tuple(hashlib.md5(content).hexdigest() for content in (b"all", b"no top"))
        monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", checksums)
        monkeypatch.setattr(efficientnet, "BASE_WEIGHTS_PATH", "http://127.0.0.1:9/")

    def test_backbones_that_keras_does_not_have(self, tmp_path):
        for name in ("efficientnet-lite0", "efficientnet-b8", "espnetv2_s_2.0"):
            assert imagenet_file(name, str(tmp_path)) is None

    def test_the_cache_is_enough(self, tmp_path):
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "efficientnetb0.h5").write_bytes(b"all")
        found = imagenet_file("efficientnet-b0", str(tmp_path))
        assert found == str(tmp_path / "models" / "efficientnetb0.h5")

    def test_without_a_connection(self, tmp_path):
        with pytest.raises(UserError, match="efficientnetb0.h5 is not in .* Download http"):
            imagenet_file("efficientnet-b0", str(tmp_path))
        (tmp_path / "models" / "efficientnetb0_notop.h5").write_bytes(b"no top")
        found = imagenet_file("efficientnet-b0", str(tmp_path))
        assert found == str(tmp_path / "models" / "efficientnetb0_notop.h5")


def randomise(network):
    """Sets plausible random values, batch-norm statistics included."""
    random = np.random.default_rng(0)
    for variable in network.weights:
        leaf, shape = variable.path.rpartition("/")[2], tuple(variable.shape)
        if leaf in ("gamma", "moving_variance"):
            values = random.uniform(0.5, 1.5, shape)
        elif leaf in ("beta", "bias", "moving_mean"):
            values = random.normal(0, 0.1, shape)
        elif "normalization/" not in variable.path:
            inputs = np.prod(shape[:2] if "dwconv" in variable.path else shape[:-1])
            values = random.normal(0, np.sqrt(2 / inputs), shape)
        else:
            continue
        variable.assign(values)


@pytest.mark.slow
def test_features_and_logits_are_those_of_keras(tmp_path):
    """At an odd size, where all strided convolutions have odd and even inputs."""
    import keras
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    size, ends = 95, "1a 2b 3b 5c 7a".split()
    theirs = keras.applications.EfficientNetB0(
        weights=None, classifier_activation=None, input_shape=(size, size, 3), name="b0"
    )
    randomise(theirs)
    theirs.save_weights(tmp_path / "b0.weights.h5")
    theirs.save(tmp_path / "b0.keras")
    with h5py.File(tmp_path / "b0.h5", "w") as file:
        save_weights_to_hdf5_group(file, theirs)
    outputs = [theirs.get_layer(f"block{end}_project_bn").output for end in ends]
    outputs[1:4] = [theirs.get_layer(f"block{end}_add").output for end in ends[1:4]]
    pixels = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    *features, logits = keras.Model(theirs.input, [*outputs, theirs.output])(pixels)
    ours = EfficientNet("efficientnet-b0", num_classes=1000)
    ours(pixels)
    for name in ("b0.weights.h5", "b0.keras", "b0.h5"):
        randomise(ours)
        report = load_weights(ours, tmp_path / name, verbose=False)
        assert not report.missing and not report.unused
        found = ours(pixels / np.float32(open_checkpoint(tmp_path / name).preprocessing.stddev_rgb))
        expected = {**dict(enumerate(features, start=1)), "logits": logits}
        for level, values in expected.items():
            difference = np.abs(np.asarray(found[level]) - np.asarray(values)).max()
            assert difference < 1e-4 * np.abs(values).max(), (name, level)
