"""PReLU: its formula, and the form that an int8 file keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.exports import litert_format
from efficientvision.layers.integers import for_integers
from efficientvision.layers.prelu import PReLU


def test_both_forms_are_the_formula():
    slopes = np.array([0.25, -0.5, 0.0, 1.0, 1.75], np.float32)
    x = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    layer = PReLU()
    layer.build(x.shape)
    layer.alpha.assign(slopes)
    expected = np.where(x > 0, x, slopes * x)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    with for_integers():
        np.testing.assert_allclose(layer(x), expected, atol=1e-6)


def test_an_int8_file_keeps_what_is_far_above_zero(tmp_path):
    """A residual whose positive values reach three times as far as the negative ones."""
    pytest.importorskip("ai_edge_litert")
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 16)).astype("float32")
    x[..., :8] = 3 * np.abs(x[..., :8])
    images = keras.Input(x.shape[1:], batch_size=1)
    y = keras.layers.DepthwiseConv2D(3, padding="same")(images) + images
    model = keras.Model(images, keras.layers.Conv2D(16, 1)(PReLU()(y)))
    signature = [tf.TensorSpec(x.shape, tf.float32, name="images")]

    def run(images):
        return {"y": tf.identity(model(images, training=False), name="y")}

    expected = np.asarray(model(x))
    errors = []
    for integers in (False, True):
        with for_integers(integers):
            function = tf.function(run, input_signature=signature).get_concrete_function()
        path = tmp_path / "prelu.tflite"
        litert_format.write(function, path, "{}", precision="int8", calibration=[x])
        found = litert_format.load(path, threads=1)[0](x)["y"]
        errors.append(np.abs(found - expected).max() / np.abs(expected).max())
    assert errors[1] < 0.05 < errors[0]
