"""Backbones that end before their last level."""

import numpy as np
import pytest

from efficientvision.backbones.efficientnet import EfficientNet
from efficientvision.backbones.encoder import edge_network

BACKBONES = {
    "espnetv2": lambda **options: edge_network("espnetv2_s_0.5", **options),
    "dicenet": lambda **options: edge_network("dicenet_s_0.2", **options),
    "shufflenetv2": lambda **options: edge_network("shufflenetv2_s_0.1", **options),
    "efficientnet": lambda **options: EfficientNet("efficientnet-lite0", **options),
}


IMAGES = np.random.default_rng(1).uniform(-1, 1, (1, 64, 96, 3)).astype("float32")


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_levels_before_are_the_same(name):
    full = BACKBONES[name]()
    expected = full(IMAGES)
    assert sorted(expected) == [1, 2, 3, 4, 5]
    values = {variable.path: variable for variable in full.weights}
    for last in (2, 4):
        backbone = BACKBONES[name](max_level=last)
        assert sorted(backbone(IMAGES)) == list(range(1, last + 1))
        assert 0 < len(backbone.weights) < len(values)
        for variable in backbone.weights:
            variable.assign(values[variable.path])
        for level, x in backbone(IMAGES).items():
            np.testing.assert_array_equal(np.asarray(x), np.asarray(expected[level]))
        assert type(backbone).from_config(backbone.get_config()).max_level == last


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_no_head_without_the_last_level(name):
    with pytest.raises(ValueError, match="stands on level 5"):
        BACKBONES[name](num_classes=3, max_level=4)
    with pytest.raises(ValueError, match="from 2 to 5, got 6"):
        BACKBONES[name](max_level=6)
