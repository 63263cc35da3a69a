import keras
import pytest

from efficientvision.exports.flops import (
    count_convolution_multiply_adds,
    multiply_adds,
    multiply_adds_by_part,
)
from efficientvision.layers.grouped_conv import GroupedConv2D


def test_a_convolution_counted_by_hand():
    model = keras.Sequential(
        [keras.Input((10, 8, 3)), keras.layers.Conv2D(5, 3, padding="same", use_bias=False)]
    )
    assert multiply_adds(model, (10, 8)).whole == 10 * 8 * 3 * 3 * 3 * 5


def test_convolutions_alone_counted_by_hand():
    """Grouped, depthwise, and with a bias; other additions and activations do not count."""
    images = keras.Input((10, 8, 3))
    x = GroupedConv2D(6, 3, groups=3)(images)
    x = x + GroupedConv2D(6, 1)(images)
    x = keras.layers.ReLU()(GroupedConv2D(6, 3, strides=2, groups=6)(x))
    x = GroupedConv2D(5, 1, use_bias=True)(x)
    model = keras.Model(images, x)
    expected = 10 * 8 * (9 * 1 * 6 + 3 * 6) + 5 * 4 * (9 * 6 + 6 * 5)
    # A bias is an addition for each value: half a multiply-add.
    assert count_convolution_multiply_adds(model, (10, 8)) == expected + 5 * 4 * 5 // 2


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    ("name", "published"),
    # Counted by the original's own program on its own inference graphs.
    [("efficientdet-d0", 2553077906), ("efficientdet-lite0", 979428213)],
)
def test_multiply_adds_of_published_detectors(name, published):
    from efficientvision.api import build_from_config
    from efficientvision.tasks.choice import get_config

    config = get_config(name)
    model = build_from_config(config)
    counted = multiply_adds(model, config.image_hw).whole
    assert counted == pytest.approx(published, rel=0.01)
    parts = multiply_adds_by_part(
        model, config.image_hw, {"efficientnet": "backbone", "class_net": "class"}
    )
    assert set(parts) == {"backbone", "class", "other"}
    assert sum(parts.values()) == pytest.approx(counted, abs=len(parts))
    assert parts["backbone"] > parts["class"] > 0
