"""ESPNetv2: image -> {level: features}."""

from typing import Any

import keras
from keras import ops

from efficientvision.backbones.edge_network import EdgeNetwork
from efficientvision.layers.edge_conv import ConvBlock
from efficientvision.layers.eesp import EESP, DownSampler
from efficientvision.layers.pooling import avg_pool_3x3

_BRANCHES = 4
# EESP units after the down-sampler of level 3, 4 and 5; the most pixels that a branch may see,
# from the down-sampler of level 2 on.
_REPEATS = {3: 3, 4: 7, 5: 3}
_RECEPTIVE_LIMITS = (13, 11, 9, 7, 5)


@keras.saving.register_keras_serializable(package="efficientvision")
class ESPNetv2(EdgeNetwork):
    """ESPNetv2 features, and its classification head on request; see `EdgeNetwork`.

    Args:
        reinforce_level5: whether the image reinforces the last down-sampler too, as in the
            published SSD detectors; the published classifiers hold its weights unused.
        expand_level5: whether level 5 ends with the classification head's two convolutions, as in
            the published SSD detectors.

    Height and width may be unknown.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.3 and table 1.
    """

    CHANNELS = {
        0.5: (16, 32, 64, 128, 256, 1024),
        1.0: (32, 64, 128, 256, 512, 1024),
        1.25: (32, 80, 160, 320, 640, 1024),
        1.5: (32, 96, 192, 384, 768, 1024),
        2.0: (32, 128, 256, 512, 1024, 1280),
    }

    def __init__(
        self,
        width: float,
        reinforce_level5: bool = False,
        expand_level5: bool = False,
        **kwargs: Any,
    ):
        kwargs.setdefault("name", f"espnetv2_s_{width}")
        super().__init__(width, **kwargs)
        self.reinforce_level5 = reinforce_level5
        self.expand_level5 = expand_level5
        channels = self.CHANNELS[width]
        self.stem = ConvBlock(channels[0], 3, 2, name="level1", **self._shared)
        # The limits of levels 2 to 5, whose units take the one after their down-sampler's.
        limits = _RECEPTIVE_LIMITS
        self.down = [
            DownSampler(
                channels[level - 1],
                _BRANCHES,
                limits[level - 2],
                name=f"level{level}_0",
                **self._shared,
            )
            for level in range(2, self.max_level + 1)
        ]
        self.units = {
            str(level): [
                EESP(
                    channels[level - 1],
                    1,
                    _BRANCHES,
                    limits[level - 1],
                    name=f"level{level}.{index}",
                    **self._shared,
                )
                for index in range(repeats)
            ]
            for level, repeats in _REPEATS.items()
            if level <= self.max_level
        }
        self.head, self.classifier = [], None
        if self.num_classes or expand_level5:
            last = channels[4]
            self.head = [
                ConvBlock(last, 3, groups=last, name="level5.3", **self._shared),
                ConvBlock(channels[5], 1, groups=_BRANCHES, name="level5.4", **self._shared),
            ]
        if self.num_classes:
            rate = 0.2 if self.dropout_rate is None else self.dropout_rate
            self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)
            self.classifier = keras.layers.Dense(
                self.num_classes,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
                name="classifier",
                dtype="float32",
            )

    def call(self, inputs, training=None):
        x = self.stem(inputs, training=training)
        features = {1: x}
        image = avg_pool_3x3(inputs)
        for level, down in enumerate(self.down, start=2):
            image = avg_pool_3x3(image)
            reinforced = level < 5 or self.reinforce_level5
            x = self._run(down, [x, image] if reinforced else [x], training)
            for unit in self.units.get(str(level), []):
                x = self._run(unit, [x], training)
            features[level] = x
        for layer in self.head:
            x = layer(x, training=training)
        if self.expand_level5:
            features[5] = x
        if self.classifier is not None:
            x = self.dropout(ops.mean(x, axis=(1, 2)), training=training)
            features["logits"] = self.classifier(x)
        return features

    def get_config(self) -> dict[str, Any]:
        names = ("reinforce_level5", "expand_level5")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
