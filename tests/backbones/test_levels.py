"""Backbones that end before their last level."""

import keras
import numpy as np
import pytest

from efficientvision.backbones.efficientnet import EfficientNet
from efficientvision.models.classifier import edge_network

BACKBONES = {
    "espnetv2": lambda **options: edge_network("espnetv2_s_0.5", **options),
    "dicenet": lambda **options: edge_network("dicenet_s_0.2", **options),
    "shufflenetv2": lambda **options: edge_network("shufflenetv2_s_0.1", **options),
    "efficientnet": lambda **options: EfficientNet("efficientnet-lite0", **options),
}


def features(backbone):
    images = keras.Input((64, 96, 3))
    levels = backbone(images)
    return levels, keras.Model(images, [levels[level] for level in sorted(levels)])


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("last", [2, 4])
def test_the_levels_before_are_the_same(name, last):
    full, whole = BACKBONES[name](), BACKBONES[name](max_level=last)
    (all_levels, first), (levels, second) = features(full), features(whole)
    assert sorted(all_levels) == [1, 2, 3, 4, 5] and sorted(levels) == list(range(1, last + 1))
    values = {variable.path: variable for variable in full.weights}
    assert 0 < len(whole.weights) < len(values)
    for variable in whole.weights:
        variable.assign(values[variable.path])
    images = np.random.default_rng(1).uniform(-1, 1, (1, 64, 96, 3)).astype("float32")
    for one, other in zip(first(images), second(images), strict=False):
        np.testing.assert_array_equal(np.asarray(other), np.asarray(one))
    again = type(whole).from_config(whole.get_config())
    assert again.max_level == last


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_no_head_without_the_last_level(name):
    with pytest.raises(ValueError, match="stands on level 5"):
        BACKBONES[name](num_classes=3, max_level=4)
    with pytest.raises(ValueError, match="from 2 to 5, got 6"):
        BACKBONES[name](max_level=6)
