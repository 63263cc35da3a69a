"""Activation functions by the names that the published configurations use."""

from collections.abc import Callable

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="efficientvision")
def swish(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """x * sigmoid(x), of any shape (Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941).

    Written out because TensorFlow's own `silu` multiplies by a constant beta = 1 first.
    """
    return inputs * ops.sigmoid(inputs)


_ACTIVATIONS = {
    "swish": swish,
    "swish_native": swish,
    "silu": swish,
    "relu": keras.activations.relu,
    "relu6": keras.activations.relu6,
    "hswish": keras.activations.hard_silu,
    "mish": keras.activations.mish,
    "identity": keras.activations.linear,
}


def get_activation(name: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Returns the element-wise function called `name`.

    Raises:
        ValueError: the name is not one of `swish, swish_native, silu, relu, relu6, hswish, mish,
            identity`.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"Unknown activation {name!r}; expected one of {sorted(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name]
