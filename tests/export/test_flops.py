import keras
import pytest

from efficientvision.export.flops import count_multiply_adds, multiply_adds_by_part


def test_a_convolution_counted_by_hand():
    model = keras.Sequential(
        [keras.Input((10, 8, 3)), keras.layers.Conv2D(5, 3, padding="same", use_bias=False)]
    )
    assert count_multiply_adds(model, (10, 8)) == 10 * 8 * 3 * 3 * 3 * 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),
    # Counted by the original's own program on its own inference graphs.
    [("efficientdet-d0", 2553077906), ("efficientdet-lite0", 979428213)],
)
def test_multiply_adds_of_published_detectors(name, published):
    from efficientvision.api import build_from_config
    from efficientvision.configs import get_config

    config = get_config(name)
    model = build_from_config(config)
    counted = count_multiply_adds(model, config.image_hw)
    assert counted == pytest.approx(published, rel=0.01)
    parts = multiply_adds_by_part(
        model, config.image_hw, {"efficientnet": "backbone", "class_net": "class"}
    )
    assert set(parts) == {"backbone", "class", "other"}
    assert sum(parts.values()) == pytest.approx(counted, abs=len(parts))
    assert parts["backbone"] > parts["class"] > 0
