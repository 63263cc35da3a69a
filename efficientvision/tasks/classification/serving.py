"""Image classification from encoded images to probabilities, as one TensorFlow graph."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from efficientvision.data.transforms.preprocess import normalize
from efficientvision.data.transforms.random_crop import evaluation_crop
from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.serving import Serving


class ClassificationServing(Serving):
    """Network, preprocessing and postprocessing of a classifier.

    Its results are `probabilities`, float32 [N, K].

    Args:
        network: float32 images [N, h, w, 3], normalised -> [logits].
        image_hw: input size of the network in pixels.
        mean_rgb: subtracted from the pixels (0..255), one number or three.
        stddev_rgb: divisor after the subtraction, one number or three.
        crop_fraction: see `fit_photos`.
        multilabel: use a sigmoid per class instead of a softmax.
    """

    result_name = "probabilities"

    def __init__(
        self,
        network: Callable[[tf.Tensor], list[tf.Tensor]],
        image_hw: tuple[int, int],
        *,
        mean_rgb: Any,
        stddev_rgb: Any,
        crop_fraction: float | None,
        multilabel: bool,
    ):
        super().__init__(network, image_hw)
        self.mean_rgb = mean_rgb
        self.stddev_rgb = stddev_rgb
        self.crop_fraction = crop_fraction
        self.multilabel = multilabel

    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        return [("logits", "logits")]

    @property
    def input_specs(self) -> tf.TensorSpec:
        return tf.TensorSpec((*self.image_hw, 3), tf.uint8)

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> tf.Tensor:
        return fit_photos(image_arrays, self.image_hw, self.crop_fraction)

    def results(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("normalize"):
            images = normalize(inputs, None, self.mean_rgb, self.stddev_rgb)
        (logits,) = self.network(images)
        with tf.name_scope("postprocess"):
            return probabilities(logits, self.multilabel)


def fit_photos(
    photos: tf.Tensor, image_hw: tuple[int, int], crop_fraction: float | None
) -> tf.Tensor:
    """Resizes and crops photos of one size to the network's input size, as in evaluation.

    Args:
        photos: uint8 [N, H, W, 3].
        image_hw: (height, width) of the network's input.
        crop_fraction: side of the centre crop as a share of the resized photo's shorter side;
            None: the whole photo is resized, ignoring its aspect ratio.

    Returns:
        uint8 [N, h, w, 3].
    """
    return evaluation_crop(photos, image_hw, crop_fraction or 1.0, squash=crop_fraction is None)


def probabilities(logits: tf.Tensor, multilabel: bool) -> tf.Tensor:
    """Turns logits [N, K] into float32 probabilities: per class, or with a sum of 1."""
    logits = tf.cast(logits, tf.float32)
    return tf.sigmoid(logits) if multilabel else tf.nn.softmax(logits)


def classification_serving(model: Any, config: ClassificationConfig) -> ClassificationServing:
    """Combines a Keras classifier with the preprocessing and postprocessing of its configuration.

    Args:
        model: images [N, h, w, 3], normalised -> logits [N, K].
        config: its hyper-parameters.
    """
    return ClassificationServing(
        lambda images: [model(images, training=False)],
        config.image_hw,
        mean_rgb=config.mean_rgb,
        stddev_rgb=config.stddev_rgb,
        crop_fraction=crop_fraction_of(config),
        multilabel=config.multi_label,
    )


def crop_fraction_of(config: ClassificationConfig) -> float | None:
    """Returns the `crop_fraction` of a configuration, see `fit_photos`."""
    whole = config.multi_label and config.eval_share >= 1
    return None if whole else config.eval_share
