"""Parametric ReLU with a slope for each channel."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers import integers


@keras.saving.register_keras_serializable(package="efficientvision")
class PReLU(keras.layers.Layer):
    """max(x, 0) + alpha * min(x, 0): any shape `[..., C]`, with `alpha` of shape `[C]`.

    Keras' own layer keeps a slope for every position, or a shape with axes of length one, where
    the published weights have `[C]`.

    Args:
        alpha_initializer: initial value of the slopes.

    Reference: He et al. 2015, https://arxiv.org/abs/1502.01852, equation 1.
    """

    def __init__(self, alpha_initializer: Any = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha_initializer = alpha_initializer

    def build(self, input_shape):
        self.alpha = self.add_weight(
            name="alpha",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.alpha_initializer),
        )

    def call(self, inputs):
        # Fewer passes over the map than the formula above; slopes may be greater than 1.
        alpha = ops.convert_to_tensor(self.alpha)
        if integers.are_wanted():
            # LiteRT gives a minimum's operand the scale of its result: of a map from -5 to 17 an
            # int8 file would keep -5 to 4. And it has no negation in int8: not `-inputs`.
            return inputs + (1.0 - alpha) * ops.relu(inputs * -1.0)
        return inputs + (alpha - 1.0) * ops.minimum(inputs, 0.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha_initializer": self.alpha_initializer}
