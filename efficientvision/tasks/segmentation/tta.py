"""How an evaluation looks at photos: once, or mirrored and at several sizes, then the mean."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.transforms.preprocess import normalize
from efficientvision.errors import UserError
from efficientvision.tasks import tta_options
from efficientvision.tasks.detection.tta import with_weights_of
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.training_task import Batch

log = logging.getLogger(__name__)

# Strides of the coarsest maps: sizes change by whole ones.
_STEP, _DETECTOR_STEP = 32, 128


class SegmentationTTA:
    """Test-time augmentation: runs a network on several views of each photo, and averages.

    Attributes:
        sizes: (height, width) of the inputs that a batch holds: the network's, then others.
        inputs: Keys of these in a batch.

    Args:
        config: Of the network.
        flip: Also at each photo's mirror image.
        scales: Sizes of the inputs, as factors of the network's; in whole strides.
        build_network: Configuration -> network; needed where there are other sizes.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        *,
        flip: bool = False,
        scales: tuple[float, ...] = (1.0,),
        build_network: Callable[[SegmentationConfig], keras.Model] | None = None,
    ):
        self._config = config
        self._flip = flip
        step = _DETECTOR_STEP if config.is_detector else _STEP
        self._seen = [tuple(_scaled(side, s, step) for side in config.image_hw) for s in scales]
        if len(set(self._seen)) < len(self._seen):
            raise UserError(
                f"Two of the scales {', '.join(f'{s:g}' for s in scales)} come to the same size of "
                f"input, in steps of {step} pixels: leave one of them out."
            )
        self.sizes = list(dict.fromkeys([config.image_hw, *self._seen]))
        self.inputs = tuple(f"images_{i}" if i else "images" for i in range(len(self.sizes)))
        self._networks = {
            size: build_network(dataclasses.replace(config, image_size=size))
            for size in self.sizes[1:]
        }

    @property
    def described(self) -> str:
        """The looks, in words."""
        sizes = [f"{width}x{height}" for height, width in self._seen]
        return ", ".join(f"{size} and mirrored" if self._flip else size for size in sizes)

    def scores(self, model: keras.Model, batch: Batch) -> tf.Tensor:
        """Scores of the classes at the network's size, float32 [B, H, W, C].

        The mean of the views' probabilities, each resized (bilinear) and mirrored back.

        Args:
            model: The network of the configuration's size.
            batch: uint8 [B, ., ., 3] for each of `inputs`.
        """
        probabilities = []
        for size, mirrored in itertools.product(self._seen, self._mirrors):
            share = tf.nn.softmax(self._logits(model, batch, size, mirrored))
            share = tf.image.resize(share, self._config.image_hw)
            probabilities.append(tf.reverse(share, [2]) if mirrored else share)
        return tf.add_n(probabilities) / len(probabilities)

    @property
    def _mirrors(self) -> tuple[bool, ...]:
        return (False, True) if self._flip else (False,)

    def _logits(
        self, model: keras.Model, batch: Batch, size: tuple[int, int], mirrored: bool
    ) -> tf.Tensor:
        images = normalized(batch[self.inputs[self.sizes.index(size)]], self._config)
        if mirrored:
            images = tf.reverse(images, [2])
        if size == self._config.image_hw:
            return logits_of(model(images, training=False))
        return logits_of(with_weights_of(model, self._networks[size], images))


def normalized(images: tf.Tensor, config: SegmentationConfig) -> tf.Tensor:
    """uint8 [B, H, W, 3] -> what networks take."""
    return normalize(images, None, config.mean_rgb, config.stddev_rgb)


def logits_of(outputs: Any) -> tf.Tensor:
    """The logits among a network's outputs, float32 [B, H, W, C]."""
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    return tf.cast(logits, tf.float32)


def _scaled(side: int, scale: float, step: int) -> int:
    """A side that is larger or smaller by whole steps, so that its remainder stays."""
    return side + step * max(round((scale - 1.0) * side / step), -((side - 1) // step))


def build_tta(
    options: RunOptions,
    config: SegmentationConfig,
    build_network: Callable[[SegmentationConfig], keras.Model],
) -> SegmentationTTA | None:
    """Test-time augmentation as the options ask for it; None: each photo is seen once."""
    if not tta_options.asks_for_tta(options):
        return None
    scales = tta_options.scales_of(options)
    tta = SegmentationTTA(
        config, flip=options.test_flip, scales=scales, build_network=build_network
    )
    log.info(f"Each photo is seen as {tta.described}; the probabilities are averaged.")
    return tta
