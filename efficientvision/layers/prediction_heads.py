"""The class and box heads, shared by all levels."""

import functools
import math
from typing import Any

import keras

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.rematerialization import rematerialized

_FOREGROUND_PRIOR = 0.01


@keras.saving.register_keras_serializable(package="efficientvision")
class PredictionHead(CompositeLayer):
    """Repeated (separable) convolutions shared by the levels, batch norm of each level's own.

    Args:
        kind: `"class"` or `"box"`: names the variables and chooses the initial bias (the class
            head starts at a foreground probability of 0.01, RetinaNet section 3.3).
        out_filters: channels of the prediction.
        filters: channels of the hidden convolutions.
        repeats: number of hidden convolutions.
        min_level: level of the first input, which names the batch norms.
        act_type: activation.
        separable_conv: depthwise and pointwise instead of full convolutions.
        survival_prob: keeps the residual of a hidden convolution with this probability in
            training; None builds no residuals (the published networks).
        grad_checkpoint: in training keep of the hidden convolutions only each level's last output
            for the gradient, as `EfficientNet` does with its blocks.

    Input: a list of `[N, h, w, C]`; output: a list of `[N, h, w, out_filters]` in float32.

    Reference: EfficientDet, section 4 (class and box network).
    """

    def __init__(
        self,
        kind: str,
        out_filters: int,
        filters: int,
        repeats: int,
        min_level: int = 3,
        act_type: str = "swish",
        separable_conv: bool = True,
        survival_prob: float | None = None,
        grad_checkpoint: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if kind not in ("class", "box"):
            raise ValueError(f"kind must be 'class' or 'box', got {kind!r}.")
        self.kind = kind
        self.out_filters = out_filters
        self.filters = filters
        self.repeats = repeats
        self.min_level = min_level
        self.act_type = act_type
        self.separable_conv = separable_conv
        self.survival_prob = survival_prob
        self.grad_checkpoint = grad_checkpoint
        self.convs = [
            self._conv(filters, f"{kind}-{i}", "zeros", self.dtype_policy) for i in range(repeats)
        ]
        bias = 0.0
        if kind == "class":
            bias = -math.log((1 - _FOREGROUND_PRIOR) / _FOREGROUND_PRIOR)
        self.predict = self._conv(
            out_filters, f"{kind}-predict", keras.initializers.Constant(bias), "float32"
        )
        self.norms: list[list[keras.Layer]] = []
        self.drop = None
        if survival_prob:
            self.drop = keras.layers.Dropout(
                1.0 - survival_prob, noise_shape=(None, 1, 1, 1), dtype=self.dtype_policy
            )

    def _conv(self, filters, name, bias_initializer, dtype):
        arguments = {
            "padding": "same",
            "bias_initializer": bias_initializer,
            "name": name,
            "dtype": dtype,
        }
        if self.separable_conv:
            return keras.layers.SeparableConv2D(
                filters,
                3,
                depthwise_initializer=keras.initializers.VarianceScaling(),
                pointwise_initializer=keras.initializers.VarianceScaling(),
                **arguments,
            )
        return keras.layers.Conv2D(
            filters, 3, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), **arguments
        )

    def build(self, input_shape):
        self.norms = [
            [
                self._batch_norm(f"{self.kind}-{repeat}-bn-{self.min_level + index}")
                for index in range(len(input_shape))
            ]
            for repeat in range(self.repeats)
        ]
        super().build(input_shape)

    def call(self, inputs, training=None):
        outputs = []
        for index, x in enumerate(inputs):
            run = functools.partial(self._hidden, index=index, training=training)
            if self.grad_checkpoint and training:
                x = rematerialized(run, self._hidden_layers(index), x)
            else:
                x = run(x)
            outputs.append(self.predict(x))
        return outputs

    def _hidden(self, x, index, training):
        """The hidden convolutions on the map of level `min_level + index`."""
        activation = get_activation(self.act_type)
        for repeat, conv in enumerate(self.convs):
            shortcut = x
            x = activation(self.norms[repeat][index](conv(x), training=training))
            if self.drop is not None and repeat > 0:
                x = self.drop(x, training=training) + shortcut
        return x

    def _hidden_layers(self, index):
        norms = [norms[index] for norms in self.norms]
        drops = [self.drop] if self.drop is not None and self.repeats > 1 else []
        return [*self.convs, *norms, *drops]

    def get_config(self) -> dict[str, Any]:
        names = (
            "kind out_filters filters repeats min_level act_type separable_conv survival_prob "
            "grad_checkpoint"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
