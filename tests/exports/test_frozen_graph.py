import json

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.exports import frozen_graph


@pytest.fixture(scope="module")
def graph():
    weight = tf.Variable([[2.0], [3.0]])

    def predict(x):
        doubled = tf.identity(x * 2.0, name="doubled")
        return tf.identity(tf.matmul(doubled, weight), name="result")

    spec = tf.TensorSpec((4, 2), tf.float32, name="x")
    function = tf.function(predict, input_signature=[spec]).get_concrete_function()
    return frozen_graph.freeze(function, ["result"], "a text")


def test_names_survive_and_intermediate_tensors_can_be_fed(graph, tmp_path):
    path = frozen_graph.write_frozen_graph(graph, tmp_path / "new" / "x_frozen.pb")
    read = frozen_graph.read_frozen_graph(path)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    expected = 2 * x @ [[2.0], [3.0]]
    (result,) = frozen_graph.graph_function(read, ["x:0"], ["result:0"])(x)
    np.testing.assert_allclose(result, expected)
    (result,) = frozen_graph.graph_function(read, ["doubled:0"], ["result:0"])(2 * x)
    np.testing.assert_allclose(result, expected)
    assert frozen_graph.read_metadata(read) == "a text"
    assert path == str(tmp_path / "new" / "x_frozen.pb")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x_frozen.pb"]


def test_a_thawed_graph_computes_the_same_with_variables():
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 8, 40)).astype(np.float32))

    def predict(x):
        return tf.identity(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")) + 1.0, name="y")

    spec = tf.TensorSpec((1, 6, 6, 8), tf.float32, name="x")
    frozen = frozen_graph.freeze(
        tf.function(predict, input_signature=[spec]).get_concrete_function(), ["y"]
    )
    run, variables = frozen_graph.thaw(frozen, ["x:0"], ["y:0"])
    assert [v.shape for v in variables] == [kernel.shape]  # What is small stays a constant.
    x = np.random.default_rng(1).normal(size=(1, 6, 6, 8)).astype(np.float32)
    expected = predict(tf.constant(x))
    np.testing.assert_allclose(run(x)[0], expected, atol=1e-5)
    variables[0].assign(tf.zeros_like(kernel))
    np.testing.assert_array_equal(run(x)[0], np.ones_like(expected))


def test_operations_are_counted_and_split(graph):
    total = frozen_graph.float_operations(graph)
    by_node = frozen_graph.float_operations_by_node(graph)
    # A product of [4, 2] and [2, 1] and the doubling of 8 numbers.
    assert total == 2 * 4 * 2 * 1 + 8
    assert sum(by_node.values()) == total and by_node["MatMul"] == 16


def test_a_trace_is_json(graph, tmp_path):
    x = np.ones((4, 2), np.float32)
    frozen_graph.write_chrome_trace(graph, {"x:0": x}, ["result:0"], tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_bad_files_and_names(graph, tmp_path):
    with pytest.raises(UserError, match="no frozen graph"):
        frozen_graph.read_frozen_graph(tmp_path / "missing.pb")
    cut = tmp_path / "cut.pb"
    cut.write_bytes(graph.SerializeToString()[:-7])
    with pytest.raises(UserError, match="cut short"):
        frozen_graph.read_frozen_graph(cut)
    (tmp_path / "empty.pb").write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        frozen_graph.read_frozen_graph(tmp_path / "empty.pb")
    with pytest.raises(UserError, match="image_arrays:0"):
        frozen_graph.graph_function(graph, ["image_arrays:0"], ["result:0"])
