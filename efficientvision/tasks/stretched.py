"""Serving for most tasks: photos stretched to the network's input, one tensor per photo.

A task that prepares photos differently overrides `serving`, `portable` and `runner`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.data.transforms.preprocess import normalize
from efficientvision.data.transforms.random_crop import resize_like_pillow
from efficientvision.tasks.serving import Serving

# The network's outputs -> results, the first axis of each the photo.
Results = Callable[[list[tf.Tensor]], tf.Tensor]


class StretchedServing(Serving):
    """Network, preprocessing and postprocessing of one model.

    Args:
        model: Keras model of normalised images [N, h, w, 3].
        config: Its hyper-parameters.
        results: Network outputs -> results.
        result_name: Name of the results.
    """

    def __init__(self, model: Any, config: TrainingConfig, results: Results, result_name: str):
        super().__init__(
            lambda images: tf.nest.flatten(model(images, training=False)), config.image_hw
        )
        self.config = config
        self.result_name = result_name
        self._results_of = results

    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        return [(f"output_{number}", f"output_{number}") for number in range(count)]

    @property
    def input_specs(self) -> tf.TensorSpec:
        return tf.TensorSpec((*self.image_hw, 3), tf.uint8)

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> tf.Tensor:
        return stretch_photos(image_arrays, self.image_hw)

    def results(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("normalize"):
            images = normalize(inputs, None, self.config.mean_rgb, self.config.stddev_rgb)
        outputs = self.network(images)
        with tf.name_scope("postprocess"):
            return self._results_of(outputs)


def stretch_photos(photos: tf.Tensor, image_hw: tuple[int, int]) -> tf.Tensor:
    """Resizes photos of one size, whatever that is, to the network's.

    Args:
        photos: uint8 [H, W, 3] or [N, H, W, 3].
        image_hw: (height, width) of the network's input.

    Returns:
        uint8 [h, w, 3] or [N, h, w, 3].
    """
    resized = resize_like_pillow(photos, image_hw)
    return tf.ensure_shape(resized, (*photos.shape[:-3], *image_hw, 3))


def stretched_portable(serving: StretchedServing, batch_size: int) -> Any:
    """Traces normalisation, network and results in static shapes.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, as
        `stretch_photos` makes them, which returns the results under their name.
    """

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {serving.result_name: tf.identity(serving.results(images), serving.result_name)}

    spec = tf.TensorSpec((batch_size, *serving.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()
