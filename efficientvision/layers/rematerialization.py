"""Rematerialisation: recomputes intermediate results when the gradient needs them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


def rematerialized(
    function: Callable[[Any], Any], layers: Sequence[keras.Layer], inputs: Any
) -> Any:
    """`function(inputs)`, of which only inputs and output are kept for the gradient.

    The gradient runs the function a second time, on the same inputs, variable values and random
    seeds. What the function assigns to variables (moving statistics, the state of seed generators)
    is assigned once, after the first run, so that an enclosing `keras.StatelessScope` sees it as it
    sees that of any layer; the second run assigns nothing. By then that scope is closed, so the
    values that it gives the variables are read here, at the beginning, and the gradient flows to
    them.

    This is for the TensorFlow backend and layers that are built; elsewhere it is just
    `function(inputs)`.

    Args:
        function: maps `inputs` to one tensor.
        layers: all layers whose variables it uses. All must compute in the dtype of the layer that
            calls this: variables are read in that dtype.
        inputs: a tensor, or a list of tensors.

    Returns:
        The function's output.

    Reference: Chen et al. 2016, https://arxiv.org/abs/1604.06174, section 4.
    """
    built = all(layer.built for layer in layers)
    if not built or keras.backend.backend() != "tensorflow":
        return function(inputs)
    import tensorflow as tf

    variables = [v for layer in layers for v in layer.variables]
    trained = [v for v in variables if v.trainable]
    # What has no gradient is bound as it is: seeds are integers, which a tape cannot watch.
    others = [(v, tf.convert_to_tensor(v.value)) for v in variables if not v.trainable]
    tensors = keras.tree.flatten(inputs)
    runs = []

    def run(*arguments):
        values = arguments[len(tensors) :]
        bound = [*zip(trained, values, strict=True), *others]
        with keras.StatelessScope(bound, initialize_variables=False) as scope:
            before = [scope.get_current_value(v) for v, _ in others]
            output = function(keras.tree.pack_sequence_as(inputs, arguments[: len(tensors)]))
            after = [scope.get_current_value(v) for v, _ in others]
        runs.append((before, after))
        return output

    weights = [tf.convert_to_tensor(v.value) for v in trained]
    output = tf.recompute_grad(run)(*tensors, *weights)
    for (variable, _), old, new in zip(others, *runs[0], strict=True):
        if new is not old:
            variable.assign(new)
    return output
