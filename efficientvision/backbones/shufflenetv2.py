"""ShuffleNetv2 as the EdgeNets publish it: image -> {level: features}."""

from typing import Any

import keras
from keras import ops

from efficientvision.backbones.edge_network import EdgeNetwork
from efficientvision.layers.edge_conv import CBR_NAMES, ConvBlock
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.shuffle import ShuffleUnit, StridedShuffleUnit

REPEATS = {3: 3, 4: 7, 5: 3}


@keras.saving.register_keras_serializable(package="efficientvision")
class ShuffleNetv2(EdgeNetwork):
    """ShuffleNetv2 features, and its classification head on request; see `EdgeNetwork`.

    Height and width may be unknown.

    Reference: Ma et al. 2018, https://arxiv.org/abs/1807.11164, table 5; PReLU for ReLU, and the
    width 0.1, follow the EdgeNets code.
    """

    CHANNELS = {
        0.1: (8, 8, 16, 32, 64, 512),
        0.5: (24, 24, 48, 96, 192, 1024),
        1.0: (24, 24, 116, 232, 464, 1024),
        1.5: (24, 24, 176, 352, 704, 1024),
        2.0: (24, 24, 244, 488, 976, 2048),
    }

    def __init__(self, width: float, **kwargs: Any):
        kwargs.setdefault("name", f"shufflenetv2_s_{width}")
        super().__init__(width, **kwargs)
        channels = self.CHANNELS[width]
        self.stem = ConvBlock(channels[0], 3, 2, names=CBR_NAMES, name="level1", **self._shared)
        self.units = {
            str(level): [
                StridedShuffleUnit(name=f"level{level}.0", **self._shared),
                *(
                    ShuffleUnit(channels[level - 1], name=f"level{level}.{index}", **self._shared)
                    for index in range(1, repeats + 1)
                ),
            ]
            for level, repeats in REPEATS.items()
            if level <= self.max_level
        }
        self.head = self.classifier = None
        if self.num_classes:
            self.head = ConvBlock(channels[5], 1, names=CBR_NAMES, name="level5.4", **self._shared)
            published = 0.2 if width > 1 else 0.0
            rate = published if self.dropout_rate is None else self.dropout_rate
            self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)
            self.classifier = GroupedConv2D(
                self.num_classes, 1, use_bias=True, name="classifier", dtype="float32"
            )

    def call(self, inputs, training=None):
        features = self._shuffle_levels(inputs, training)
        if self.classifier is not None:
            x = self.head(features[5], training=training)
            x = ops.mean(x, axis=(1, 2), keepdims=True)
            logits = self.classifier(self.dropout(x, training=training))
            features["logits"] = ops.squeeze(logits, axis=(1, 2))
        return features
