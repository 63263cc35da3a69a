"""The network of a segmenter in every portable format: the same class of every pixel."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from tests.filled_segmenter import filled_segmenter, noise

HW = (64, 96)


@pytest.fixture(
    scope="module",
    params=["espnetv2_s_0.5", pytest.param("dicenet_s_0.2", marks=pytest.mark.slow)],
)
def network(request):
    """A network in whose map every class may come, and its concrete function."""
    model = filled_segmenter(request.param, num_classes=5, image_size=HW)
    bias = next(v for v in model.weights if v.path.endswith("merge_layer.3/bias"))
    bias.assign(bias - np.mean(model(noise(HW)), axis=(0, 1, 2)))

    def run(images):
        return {"logits": tf.identity(model(images, training=False), name="logits")}

    spec = tf.TensorSpec((1, *HW, 3), tf.float32, name="images")
    return model, tf.function(run, input_signature=[spec]).get_concrete_function()


@pytest.mark.parametrize(
    "module, library, ending",
    [
        pytest.param("onnx_format", "onnxruntime", ".onnx", marks=pytest.mark.slow),
        pytest.param("openvino_format", "openvino", ".xml", marks=pytest.mark.slow),
        ("litert_format", "ai_edge_litert", ".tflite"),
    ],
)
def test_the_same_classes(network, module, library, ending, tmp_path):
    pytest.importorskip(library)
    if module != "litert_format":
        pytest.importorskip("tf2onnx")
    form = importlib.import_module(f"efficientvision.exports.{module}")
    model, function = network
    path = tmp_path / f"segmenter{ending}"
    form.write(function, path, "{}")
    run, metadata = form.load(path, threads=1)
    assert metadata == "{}"
    images = noise(HW)
    logits, expected = run(images)["logits"], np.asarray(model(images))
    assert logits.shape == expected.shape == (1, *HW, 5) and logits.dtype == np.float32
    assert len(np.unique(expected.argmax(-1))) > 1
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    # Near ties, closer than float32 computes, may fall either way.
    two = np.sort(expected, axis=-1)[..., -2:]
    clear = two[..., 1] - two[..., 0] > 1e-4 * np.abs(expected).max()
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(logits.argmax(-1)[clear], expected.argmax(-1)[clear])
