"""Parts frozen by name: weights and statistics stay, the others move."""

import functools

import numpy as np
import pytest

from efficientvision.api import build_from_config
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.training.freezing import freeze_batch_norms, freeze_parts
from efficientvision.training.state import trainable_variables
from efficientvision.weights.names import part_of, published_variables

SMALL = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1,num_classes=2"


@functools.cache
def _built(grad_checkpoint):
    return build_from_config(
        get_config("efficientdet-d0", f"{SMALL},grad_checkpoint={grad_checkpoint}")
    )


def detector(grad_checkpoint=False):
    """A detector of which nothing is frozen."""
    model = _built(grad_checkpoint)
    for layer in model._flatten_layers():
        layer.trainable = True
    return model


def parts_that_move(override):
    """(parts whose weights are trained, parts whose statistics move in training)."""
    config = get_config("efficientdet-d0", f"{SMALL},{override}")
    model = detector(config.grad_checkpoint)
    freeze_parts(model, config.freeze)
    trained = trainable_variables(model, config.var_freeze_expr)
    statistics = {n: v for n, v in published_variables(model).items() if "/moving_" in n}
    before = {name: v.numpy().copy() for name, v in statistics.items()}
    model(np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32), training=True)
    moved = [name for name, v in statistics.items() if not np.array_equal(before[name], v.numpy())]
    return {part_of(v.path) for v in trained}, set(map(part_of, moved))


ALL = {"backbone", "fpn", "class_net", "box_net"}


@pytest.mark.parametrize(
    ("override", "weights", "statistics"),
    [
        ("freeze=backbone", ALL - {"backbone"}, ALL - {"backbone"}),
        ("freeze=backbone+fpn", {"class_net", "box_net"}, {"class_net", "box_net"}),
        ("freeze=heads", {"backbone", "fpn"}, {"backbone", "fpn"}),
        ("freeze=backbone,grad_checkpoint=true", ALL - {"backbone"}, ALL - {"backbone"}),
        # The original's way: the statistics follow the data.
        ("var_freeze_expr='efficientnet'", ALL - {"backbone"}, ALL),
    ],
)
def test_frozen_parts_stay(override, weights, statistics):
    assert parts_that_move(override) == (weights, statistics)


def test_message_counts_parameters(capsys):
    model = detector()
    freeze_parts(model, ())
    assert capsys.readouterr().out == ""
    freeze_parts(model, ("backbone",))
    frozen = sum(
        int(np.prod(v.shape))
        for name, v in published_variables(model).items()
        if part_of(name) == "backbone"
    )
    assert f"Frozen: backbone, {frozen:,} of {model.count_params():,} " in capsys.readouterr().out


def test_a_classifiers_backbone_without_its_head():
    model = build_from_config(get_config("efficientnet-b0", "image_size=32,num_classes=3"))
    freeze_parts(model, ("backbone",))
    assert {part_of(v.path) for v in model.trainable_variables} == {"classifier_head"}


def test_something_must_be_left():
    model = detector()
    with pytest.raises(UserError, match="leaves nothing to train"):
        freeze_parts(model, ("backbone", "fpn", "class_net", "box_net"))


def test_names_of_parts():
    def freeze(text):
        return get_config("efficientdet-d0", f"freeze={text}").freeze

    assert freeze("fpn+backbone") == ("backbone", "fpn")
    assert freeze("heads") == ("class_net", "box_net")
    assert get_config("efficientdet-d0", {"freeze": ["box_net"]}).freeze == ("box_net",)
    assert freeze("None") == freeze("") == ()
    with pytest.raises(UserError, match="no part 'backbon'. Did you mean backbone?"):
        freeze("backbon+fpn")


def test_frozen_batch_norms_stay_as_they_are(capsys):
    """EdgeNets' own flag let the statistics follow the data."""
    config = get_config("espnetv2_s_0.5", {"image_size": 64, "num_classes": 3}, task="segmentation")
    model = build_from_config(config)
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    in_evaluation = np.asarray(model(images, training=False))
    freeze_batch_norms(model)
    before = [v.numpy().copy() for v in model.weights]
    np.testing.assert_allclose(model(images, training=True), in_evaluation, atol=1e-5)
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    trained = {v.path.rpartition("/")[2] for v in trainable_variables(model, None)}
    assert trained == {"kernel", "bias", "alpha"}
    assert "batch norms, statistics, scales and offsets" in capsys.readouterr().out
