"""What the name of a checkpoint tells: AdvProp's preprocessing, the size of a set of 640 pixels."""

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.setup import apply_published_size
from efficientvision.weights.checkpoint_reader import CheckpointReader, open_checkpoint
from efficientvision.weights.preprocessing import IMAGENET, Preprocessing
from efficientvision.weights.published_sets import with_preprocessing
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint

KERNEL = "efficientnet-b0/stem/conv2d/kernel"


def reader(path, name=KERNEL, **options):
    return CheckpointReader(path, "tf1", {name: (1,)}, {name: name}, list, **options)


@pytest.mark.parametrize(
    ("path", "is_advprop"),
    [
        ("efficientdet-d0-advprop/model", True),
        ("advprop/efficientdet-d1/model.ckpt", True),
        ("Det-AdvProp_d3.h5", True),
        ("efficientdet-d0/model", False),
        ("runs/advproposal/model", False),
        ("advprop/a/b/c/model", False),  # Too far away to tell anything.
    ],
)
def test_names_of_advprop_checkpoints(path, is_advprop):
    found = with_preprocessing(reader(path)).preprocessing
    assert (found is not None) == is_advprop
    if found:
        assert found.mean_rgb == found.stddev_rgb == (127.5,) * 3
        assert "recognised by the name " in found.source


def test_a_name_overrules_nothing():
    own = Preprocessing(*IMAGENET, "the file")
    assert with_preprocessing(reader("advprop/x", preprocessing=own)).preprocessing is own
    assert with_preprocessing(reader("advprop/x", "level1.conv.weight")).preprocessing is None


def test_an_opened_checkpoint_has_its_preprocessing(tmp_path):
    path = tmp_path / "efficientdet-d0-advprop" / "model"
    path.parent.mkdir()
    write_tf1_checkpoint(path, {KERNEL: np.zeros(1, np.float32)})
    assert open_checkpoint(path.parent).preprocessing.mean_rgb == (127.5,) * 3


@pytest.mark.parametrize(
    ("override", "path", "size"),
    [
        ("", "sets/efficientdet-d2-640/model", 640),
        ("", "efficientdet-d2-640.h5", 640),
        ("", "efficientdet-d2/model", 768),
        ("", "efficientdet-d2-6400", 768),
        ("image_size=512", "efficientdet-d2-640", 512),
    ],
)
def test_names_tell_the_image_size(override, path, size):
    config = get_config("efficientdet-d2", override)
    lines = apply_published_size(config, path)
    assert config.image_size == size
    assert lines == (["image_size=640 (from the file name)"] if size == 640 else [])


@pytest.mark.parametrize(
    "override",
    ["mean_rgb=0.0,stddev_rgb=1.0,scale_range=True", "scale_range=true,stddev_rgb=1,mean_rgb=0"],
)
def test_scale_range_is_pixels_from_minus_one_to_one(override):
    """The first is the command that google/automl's page on Det-AdvProp gives."""
    config = get_config("efficientdet-d0", override)
    assert config.mean_rgb == config.stddev_rgb == (127.5,) * 3
    assert config.is_decided("mean_rgb") and config.is_decided("stddev_rgb")
    again = get_config("efficientdet-d0", config.as_dict())
    assert again.as_dict() == config.as_dict()


def test_scale_range_contradicts_another_normalisation():
    with pytest.raises(UserError, match="mean_rgb=.* contradicts scale_range=True"):
        get_config("efficientdet-d0", "scale_range=true,mean_rgb=120")


def test_modules_of_tensorflow_hub_and_what_was_trained_on_them(tmp_path):
    """google/automl trains a lite detector on a hub module, `base_model`, with new last layers."""
    names = [KERNEL.replace("b0", "lite0"), "class_net/class-0/pointwise_kernel"]
    module = tf.Module()
    module.all_variables = [tf.Variable([1.0], name=name) for name in names]
    tf.saved_model.save(module, str(tmp_path / "feature-vector"))
    assert list(open_checkpoint(tmp_path / "feature-vector").names()) == names
    trained = tf.Module()
    trained.base_model = module
    trained.classes = tf.Variable([2.0], name="class_net/class-predict/bias")
    path = tf.train.Checkpoint(model=trained).save(str(tmp_path / "trained" / "ckpt"))
    assert open_checkpoint(path).read("class_net/class-predict/bias") == [2.0]
    assert set(open_checkpoint(path).names()) == {*names, "class_net/class-predict/bias"}
