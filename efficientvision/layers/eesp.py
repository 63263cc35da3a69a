"""The extremely efficient spatial pyramid of ESPNetv2, and its form that halves the size."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.edge_conv import ConvBlock, LayerStack, NormAct
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.pooling import avg_pool_3x3
from efficientvision.layers.prelu import PReLU


def branch_dilations(branches: int, receptive_limit: int) -> list[int]:
    """Dilation of each branch's 3x3 convolution, in rising order.

    Branch i is to see 3 + 2i pixels; one that would see more than the limit sees 3.

    Args:
        branches: their number.
        receptive_limit: the most pixels that a branch may see along an axis.
    """
    sizes = (3 + 2 * index for index in range(branches))
    return sorted((size if size <= receptive_limit else 3) // 2 for size in sizes)


@keras.saving.register_keras_serializable(package="efficientvision")
class EESP(CompositeLayer):
    """Reduce, split into dilated depthwise branches, add up, merge: `[N, H, W, C]` to `filters`.

    Args:
        filters: output channels.
        strides: 1 or 2, of the branches.
        branches: dilated branches, and groups of the 1x1 convolutions; divides `filters`.
        receptive_limit: see `branch_dilations`.
        final_activation: PReLU, after the residual where the shapes are the same. The
            down-sampler does without, which has one of its own; the published weights hold the
            unused slopes all the same.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.2, figure 1c.
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        branches: int = 4,
        receptive_limit: int = 7,
        final_activation: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if filters % branches:
            raise ValueError(f"{branches} branches do not divide {filters} channels evenly.")
        self.filters = filters
        self.strides = strides
        self.branches = branches
        self.receptive_limit = receptive_limit
        self.final_activation = final_activation
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        width = filters // branches
        self.project = ConvBlock(width, 1, groups=branches, name="proj_1x1", **shared)
        self.convs = [
            GroupedConv2D(
                width,
                3,
                strides,
                dilation,
                groups=width,
                name=f"spp_dw.{index}.conv",
                dtype=self.dtype_policy,
            )
            for index, dilation in enumerate(branch_dilations(branches, receptive_limit))
        ]
        self.norm_act = NormAct(name="br_after_cat", **shared)
        self.expand = ConvBlock(
            filters, 1, groups=branches, activation=False, name="conv_1x1_exp", **shared
        )
        self.act = PReLU(name="module_act", dtype=self.dtype_policy)

    def build(self, input_shape):
        # Where the down-sampler leaves it out nothing else would build it.
        self.act.build((*input_shape[:3], self.filters))
        super().build(input_shape)

    def call(self, inputs, training=None):
        reduced = self.project(inputs, training=training)
        sums = []
        for conv in self.convs:
            branch = conv(reduced, training=training)
            sums.append(branch + sums[-1] if sums else branch)
        merged = self.norm_act(ops.concatenate(sums, axis=-1), training=training)
        x = self.expand(merged, training=training)
        if not self.final_activation:
            return x
        if self.strides == 1 and inputs.shape[-1] == self.filters:
            x = x + inputs
        return self.act(x)

    def get_config(self) -> dict[str, Any]:
        names = "filters strides branches receptive_limit final_activation".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="efficientvision")
class DownSampler(CompositeLayer):
    """Halves the size: average pooling beside a strided EESP, reinforced by the image.

    Args:
        filters: output channels, more than the input's; the EESP adds what pooling lacks.
        branches, receptive_limit: arguments of the EESP.
        image_channels: channels of the reinforcing image; None without that branch.

    Input: features `[N, H, W, C]`, and the image at the output's size (`avg_pool_3x3` as often as
    the features were halved), or None: then its weights are there and not used, as in the last
    down-sampler of the published classifiers. Output `[N, ceil(H / 2), ceil(W / 2), filters]`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.2, figure 2.
    """

    def __init__(
        self,
        filters: int,
        branches: int = 4,
        receptive_limit: int = 9,
        image_channels: int = 3,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.branches = branches
        self.receptive_limit = receptive_limit
        self.image_channels = image_channels
        self.eesp = self.reinforce = None
        self.act = PReLU(name="act", dtype=self.dtype_policy)

    def build(self, input_shape):
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        self.eesp = EESP(
            self.filters - input_shape[-1],
            2,
            self.branches,
            self.receptive_limit,
            final_activation=False,
            name="eesp",
            **shared,
        )
        if self.image_channels:
            channels = self.image_channels
            self.reinforce = LayerStack(
                [
                    ConvBlock(channels, 3, name="0", **shared),
                    ConvBlock(self.filters, 1, activation=False, name="1", **shared),
                ],
                name="inp_reinf",
                **shared,
            )
            self.reinforce(keras.KerasTensor((1, 1, 1, channels)))
        super().build(input_shape)

    def call(self, inputs, image=None, training=None):
        pooled = avg_pool_3x3(inputs)
        x = ops.concatenate([pooled, self.eesp(inputs, training=training)], axis=-1)
        if image is not None:
            x = x + self.reinforce(image, training=training)
        return self.act(x)

    def get_config(self) -> dict[str, Any]:
        names = "filters branches receptive_limit image_channels".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
