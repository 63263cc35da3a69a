"""DiCENet: image -> {level: features}."""

from typing import Any

import keras
from keras import ops

from efficientvision.backbones.edge_network import EdgeNetwork
from efficientvision.backbones.shufflenetv2 import REPEATS
from efficientvision.layers.dice import ShuffleDiceUnit, StridedDiceUnit
from efficientvision.layers.edge_conv import CBR_NAMES, ConvBlock
from efficientvision.layers.grouped_conv import GroupedConv2D

_CLASSIFIER_GROUPS = 4


@keras.saving.register_keras_serializable(package="efficientvision")
class DiCENet(EdgeNetwork):
    """DiCENet features, and its classification head on request; see `EdgeNetwork`.

    The architecture is ShuffleNetv2's with DiCE units in it. Height and width must be known.

    Args:
        build_hw: image size that the kernels over height and width are made for, multiples of 32;
            other images are resized inside. Every published file has 224.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 3.3 and table 2.
    """

    CHANNELS = {
        0.2: (16, 16, 32, 64, 128, 1024),
        0.5: (24, 24, 48, 96, 192, 1024),
        0.75: (24, 24, 86, 172, 344, 1024),
        1.0: (24, 24, 116, 232, 464, 1024),
        1.25: (24, 24, 144, 288, 576, 1024),
        1.5: (24, 24, 176, 352, 704, 1024),
        1.75: (24, 24, 210, 420, 840, 1024),
        2.0: (24, 24, 244, 488, 976, 1024),
        2.4: (24, 24, 278, 556, 1112, 1280),
    }

    def __init__(self, width: float, build_hw: tuple[int, int] = (224, 224), **kwargs: Any):
        kwargs.setdefault("name", f"dicenet_s_{width}")
        super().__init__(width, **kwargs)
        if build_hw[0] % 32 or build_hw[1] % 32:
            raise ValueError(f"build_hw must be multiples of 32, got {tuple(build_hw)}.")
        self.build_hw = tuple(build_hw)
        channels = self.CHANNELS[width]
        self.stem = ConvBlock(channels[0], 3, 2, names=CBR_NAMES, name="level1", **self._shared)
        self.units = {
            str(level): self._units(level, channels[level - 1], repeats)
            for level, repeats in REPEATS.items()
            if level <= self.max_level
        }
        self.classifier = None
        if self.num_classes:
            published = 0.2 if width > 1 else 0.1
            rate = published if self.dropout_rate is None else self.dropout_rate
            self.head = GroupedConv2D(
                channels[5],
                1,
                groups=_CLASSIFIER_GROUPS,
                name="classifier.0",
                dtype=self.dtype_policy,
            )
            self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)
            self.classifier = GroupedConv2D(
                self.num_classes, 1, use_bias=True, name="classifier.2", dtype="float32"
            )

    def _units(self, level, filters, repeats):
        build_hw = tuple(side // 2**level for side in self.build_hw)
        return [
            StridedDiceUnit(build_hw, name=f"level{level}.0", **self._shared),
            *(
                ShuffleDiceUnit(filters, build_hw, name=f"level{level}.{index}", **self._shared)
                for index in range(1, repeats + 1)
            ),
        ]

    def call(self, inputs, training=None):
        features = self._shuffle_levels(inputs, training)
        if self.classifier is not None:
            x = self.head(ops.mean(features[5], axis=(1, 2), keepdims=True))
            logits = self.classifier(self.dropout(x, training=training))
            features["logits"] = ops.squeeze(logits, axis=(1, 2))
        return features

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "build_hw": self.build_hw}
