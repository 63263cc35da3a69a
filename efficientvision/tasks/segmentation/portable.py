"""A segmenter for every runtime: resized photo in, class map or logits out."""

from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.tasks.portable import PhotoRunner, PortableNetwork
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.serving import network_logits, to_photo_size
from efficientvision.tasks.stretched import stretch_photos


def portable_segmenter(
    model: Any, config: TrainingConfig, *, result: str, batch_size: int = 1
) -> Any:
    """Traces the network with normalisation and an optional argmax, with static shapes.

    Args:
        model: a Keras segmenter, images [N, h, w, 3] -> logits [N, h, w, C].
        config: its hyper-parameters.
        result: `"class_map"` or `"logits"`.
        batch_size: number of images per batch.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, prepared by
        `stretch_photos`. It returns a dict with `class_map`, int32 [N, h, w], or `logits`, float32
        [N, h, w, C].
    """
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    def run(images):
        outputs = tf.cast(network_logits(model, (images - mean) / stddev), tf.float32)
        if result == "class_map":
            outputs = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        return {result: tf.identity(outputs, name=result)}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()


class SegmentationRunner(PhotoRunner):
    """Resizes photos, runs the network, and resizes the class map to the photo's size."""

    def __init__(self, network: PortableNetwork, metadata: SegmentationMetadata):
        super().__init__(
            network, metadata, lambda photos: stretch_photos(photos, metadata.image_hw)
        )

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        results = super().__call__(photos)
        if self._metadata.result_name == "logits":
            return results
        return to_photo_size(results.astype(np.uint8), photos.shape[1:3])
