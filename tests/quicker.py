"""What makes TensorFlow and Keras quicker, and changes nothing that a test looks at.

Keras infers the shapes of a layer's outputs by tracing it into a graph that is thrown away, at a
third of a millisecond an operation. Pictures of tests are small: to run the layer on zeros gives
the same shapes ten times sooner. Large ones, and such as have sides without a size, are traced as
ever, and there the variables that do not exist yet are zeros too, in place of random numbers.

Both note and shorten tracebacks: TensorFlow the stack of every operation of a graph, which under
pytest is a deep one. Errors say less about where they come from; what they say stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.backend import StatelessScope, SymbolicScope
from tensorflow.python.util import tf_stack

# Values of an input that may be computed with: photos of 512 x 512.
_MOST = 1 << 20
_trace = backend.compute_output_spec
_value = keras.Variable.value.fget


def be_quicker() -> None:
    """From here on, in this process."""
    backend.compute_output_spec = _spec
    keras.Variable.value = property(_value_or_zeros)
    keras.config.disable_traceback_filtering()
    tf.debugging.disable_traceback_filtering()
    stack = tf_stack.extract_stack()
    tf_stack.extract_stack = lambda **_: stack


def _value_or_zeros(variable: keras.Variable) -> Any:
    if variable._value is None:
        return variable._maybe_autocast(tf.zeros(variable.shape, variable._dtype))
    return _value(variable)


def _spec(function: Callable, *args: Any, **kwargs: Any) -> Any:
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if keras.utils.is_keras_tensor(x)]
    if not inputs or not all(map(_is_small, inputs)) or not tf.executing_eagerly():
        return _trace(function, *args, **kwargs)

    def zeros(x: Any) -> Any:
        return tf.zeros((1, *x.shape[1:]), x.dtype) if keras.utils.is_keras_tensor(x) else x

    def spec(x: Any) -> Any:
        return keras.KerasTensor((None, *x.shape[1:]), x.dtype.name) if tf.is_tensor(x) else x

    with StatelessScope(), SymbolicScope():
        args, kwargs = keras.tree.map_structure(zeros, (args, kwargs))
        return keras.tree.map_structure(spec, function(*args, **kwargs))


def _is_small(x: keras.KerasTensor) -> bool:
    """Whether all but the batch is known, and little."""
    sides = x.shape[1:]
    return bool(x.shape) and x.shape[0] is None and None not in sides and math.prod(sides) < _MOST
