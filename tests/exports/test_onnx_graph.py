"""What is changed in ONNX graphs, by what a runtime makes of them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from efficientvision.exports.onnx_graph import drop_unread, join_prelus, mend_resizing

SHAPE = (1, 4, 11, 9)


def model_of(nodes, initializers, outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in initializers.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def run(model):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    return session.run(None, {"x": x})


def prelu_nodes(order=1):
    return [
        helper.make_node("Min", ["x", "zero"][::order], ["least"]),
        helper.make_node("Mul", ["least", "slope"][::order], ["product"]),
        helper.make_node("Add", ["x", "product"][::order], ["y"], "prelu"),
    ]


SLOPES = {"zero": 0.0, "slope": np.array([-0.75, 0.5, -1.5, 0.0]).reshape(4, 1, 1)}


def test_prelus_are_joined():
    for order in (1, -1):
        model = model_of(prelu_nodes(order), SLOPES)
        (expected,) = run(model)
        assert join_prelus(model) == 1
        assert [node.op_type for node in model.graph.node] == ["PRelu"]
        np.testing.assert_allclose(run(model)[0], expected, atol=1e-6)


def test_what_is_no_prelu_stays():
    for change in ({"zero": 0.1}, {}):
        outputs = ("y",) if change else ("y", "product")  # Read by someone else.
        model = model_of(prelu_nodes(), {**SLOPES, **change}, outputs)
        assert join_prelus(model) == 0
        assert len(model.graph.node) == 3
    other = prelu_nodes()
    other[2].input[0] = "slope"  # Not the value that was compared with zero.
    assert join_prelus(model_of(other, SLOPES)) == 0


def test_sizes_come_out_whole():
    node = helper.make_node(
        "Resize",
        ["x", "roi", "scales"],
        ["y"],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
    scales = [1.0, 1.0, 13 / 11, 2.0]
    model = model_of([node], {"roi": np.zeros(0), "scales": scales})
    assert run(model)[0].shape == (1, 4, 12, 18)
    assert mend_resizing(model) == 1
    assert run(model)[0].shape == (1, 4, 13, 18)


def test_what_nobody_reads_is_dropped():
    """But not what the body of a condition reads, or what is an output."""
    branch = helper.make_graph(
        [helper.make_node("Add", ["x", "inner"], ["sum"])],
        "branch",
        [],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None] * 4)],
    )
    nodes = [
        helper.make_node("Cast", ["one"], ["true"], to=TensorProto.BOOL),
        helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=branch),
    ]
    values = {"one": 1.0, "inner": np.full((1, 4, 1, 1), 2.0), "left": 3.0, "kept": [[[[4.0]]]]}
    model = model_of(nodes, values, outputs=("y", "kept"))
    expected = run(model)
    assert drop_unread(model) == 1
    assert {value.name for value in model.graph.initializer} == {"one", "inner", "kept"}
    for value, other in zip(run(model), expected, strict=True):
        np.testing.assert_array_equal(value, other)
