"""Semantic segmentation from encoded images to class maps, as one TensorFlow graph."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.data.transforms.preprocess import normalize
from efficientvision.tasks.segmentation.metadata import RESULTS
from efficientvision.tasks.segmentation.metrics import NO_CLASS
from efficientvision.tasks.serving import Serving
from efficientvision.tasks.stretched import stretch_photos


class SegmentationServing(Serving):
    """Network, preprocessing and postprocessing of a segmenter.

    Its results are one of
    - `class_map`, uint8 [N, H, W] at the photos' size: the most likely classes at the network's
      size, resized by nearest neighbour; padded with 255 if a photo is smaller than others in its
      batch;
    - `logits`, float32 [N, h, w, C], at the network's size.

    Args:
        network: float32 images [N, h, w, 3], normalised -> [logits].
        image_hw: input size of the network in pixels.
        mean_rgb: subtracted from the pixels (0..255), one number or three.
        stddev_rgb: divisor after the subtraction, one number or three.
        result: `"class_map"` or `"logits"`.
    """

    def __init__(
        self,
        network: Callable[[tf.Tensor], list[tf.Tensor]],
        image_hw: tuple[int, int],
        *,
        mean_rgb: Any,
        stddev_rgb: Any,
        result: str = RESULTS[0],
    ):
        super().__init__(network, image_hw)
        self.mean_rgb = mean_rgb
        self.stddev_rgb = stddev_rgb
        self.result_name = result

    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        return [("network_logits", "logits")]

    @property
    def input_specs(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        return tf.TensorSpec((*self.image_hw, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns uint8 images at the network's size, and the photos' sizes, int32 [N, 2]."""
        shape = tf.shape(image_arrays)
        sizes = tf.tile(shape[tf.newaxis, 1:3], [shape[0], 1])
        return stretch_photos(image_arrays, self.image_hw), sizes

    def results(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        images, photo_hw = inputs
        with tf.name_scope("normalize"):
            images = normalize(images, None, self.mean_rgb, self.stddev_rgb)
        (logits,) = self.network(images)
        with tf.name_scope("postprocess"):
            logits = tf.cast(logits, tf.float32)
            if self.result_name == "logits":
                return logits
            classes = tf.argmax(logits, axis=-1, output_type=tf.int32)
            return tf.cast(to_photo_sizes(classes, photo_hw), tf.uint8)


def to_photo_sizes(classes: tf.Tensor, photo_hw: tf.Tensor) -> tf.Tensor:
    """Resizes class maps by nearest neighbour, each to its photo's size.

    Args:
        classes: int32 [N, h, w].
        photo_hw: int32 [N, 2].

    Returns:
        int32 [N, H, W] with the largest height and width of the batch, padded with 255.
    """
    largest = tf.reduce_max(photo_hw, axis=0)
    rows, in_height = _nearest(largest[0], photo_hw[:, 0], tf.shape(classes)[1])
    columns, in_width = _nearest(largest[1], photo_hw[:, 1], tf.shape(classes)[2])
    classes = tf.gather(classes, rows, axis=1, batch_dims=1)
    # Transposed, because a gather along the second axis copies whole rows.
    classes = tf.gather(tf.transpose(classes, [0, 2, 1]), columns, axis=1, batch_dims=1)
    inside = in_height[:, :, tf.newaxis] & in_width[:, tf.newaxis, :]
    return tf.where(inside, tf.transpose(classes, [0, 2, 1]), NO_CLASS)


def _nearest(
    largest: tf.Tensor, sizes: tf.Tensor, source: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Source index of each of `largest` pixels along a side, and whether it is in the photo.

    Pixel i is taken from floor((i + 0.5) * source / size), in integers. Both are [N, largest].
    """
    place, sizes = tf.range(largest)[tf.newaxis], sizes[:, tf.newaxis]
    nearest = (2 * place + 1) * source // (2 * sizes)
    return tf.minimum(nearest, source - 1), place < sizes


def to_photo_size(class_maps: np.ndarray, photo_hw: tuple[int, int]) -> np.ndarray:
    """Like `to_photo_sizes` for uint8 class maps [N, h, w] and photos of one size, in numpy."""
    rows, columns = (
        (2 * np.arange(size) + 1) * source // (2 * size)
        for size, source in zip(photo_hw, class_maps.shape[1:], strict=True)
    )
    return class_maps[:, rows[:, np.newaxis], columns]


def segmentation_serving(
    model: Any, config: TrainingConfig, *, result: str = RESULTS[0]
) -> SegmentationServing:
    """Combines a Keras segmenter with the preprocessing and postprocessing of its configuration.

    Args:
        model: images [N, h, w, 3], normalised -> logits [N, h, w, C], or a dict with them.
        config: its hyper-parameters.
        result: see `SegmentationServing`.
    """
    return SegmentationServing(
        lambda images: [network_logits(model, images)],
        config.image_hw,
        mean_rgb=config.mean_rgb,
        stddev_rgb=config.stddev_rgb,
        result=result,
    )


def network_logits(model: Any, images: tf.Tensor) -> tf.Tensor:
    """Returns the logits of a segmenter, with or without an auxiliary output."""
    outputs = model(images, training=False)
    return outputs["logits"] if isinstance(outputs, dict) else outputs
