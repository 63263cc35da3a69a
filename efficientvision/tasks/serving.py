"""Base class for exported models: photos in, one tensor of results out."""

import abc
import copy
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from efficientvision.data.transforms.upright import exif_orientation, turn_upright


class Serving(abc.ABC):
    """Network, preprocessing and postprocessing of a model.

    Args:
        network: float32 images [N, h, w, 3], normalised -> list of tensors.
        image_hw: input size of the network in pixels.

    Attributes:
        result_name: name of the results in signatures and graphs.
    """

    result_name: str

    def __init__(self, network: Callable[[tf.Tensor], list[tf.Tensor]], image_hw: tuple[int, int]):
        self._network = network
        self.image_hw = image_hw

    def with_network(self, network: Callable[[tf.Tensor], list[tf.Tensor]]) -> "Serving":
        """Returns a copy with another network that has the same inputs and outputs."""
        changed = copy.copy(self)
        changed._network = network
        return changed

    def network(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Runs only the network, on normalised images."""
        with tf.name_scope("network"):
            return list(self._network(images))

    @abc.abstractmethod
    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        """Returns (operation name, signature key) of each of the network's `count` outputs."""

    @property
    @abc.abstractmethod
    def input_specs(self) -> Any:
        """`tf.TensorSpec`s of the output of `preprocess_arrays`, without the batch axis."""

    @abc.abstractmethod
    def preprocess_arrays(self, image_arrays: tf.Tensor) -> Any:
        """Maps photos of equal size, uint8 [N, H, W, 3], to a structure of input tensors."""

    @abc.abstractmethod
    def results(self, inputs: Any) -> tf.Tensor:
        """Maps preprocessed inputs to the results; the first axis is the photo."""

    def preprocess_files(self, image_files: tf.Tensor) -> Any:
        """Maps encoded photos [N] of any sizes to input tensors."""
        if image_files.shape[0] is not None:
            parts = [self._preprocess_file(data) for data in tf.unstack(image_files)]
            return tf.nest.map_structure(lambda *column: tf.stack(column), *parts)
        return tf.map_fn(self._preprocess_file, image_files, fn_output_signature=self.input_specs)

    def _preprocess_file(self, data: tf.Tensor) -> Any:
        inputs = self.preprocess_arrays(decode_upright(data)[tf.newaxis])
        return tf.nest.map_structure(lambda part: part[0], inputs)

    def results_from_arrays(self, image_arrays: tf.Tensor) -> tf.Tensor:
        """Maps photos of equal size, uint8 [N, H, W, 3], to results."""
        return self.results(self.preprocess_arrays(image_arrays))

    def results_from_files(self, image_files: tf.Tensor) -> tf.Tensor:
        """Maps encoded photos [N] to results."""
        return self.results(self.preprocess_files(image_files))


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF (first frame) to uint8 [H, W, 3], as stored.

    The boxes of records refer to these pixels; photos are decoded by `decode_upright`.
    """
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, (None, None, 3))


def decode_upright(data: tf.Tensor) -> tf.Tensor:
    """Decodes a photo to uint8 [H, W, 3] and turns it upright by its EXIF orientation."""
    return turn_upright(decode_image(data), exif_orientation(data))
