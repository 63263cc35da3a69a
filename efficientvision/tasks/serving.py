"""What an exported model serves: photos in, one tensor of results out."""

import abc
import copy
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from efficientvision.data.transforms.upright import exif_orientation, turn_upright


class Serving(abc.ABC):
    """Network, preprocessing and postprocessing of one model.

    Args:
        network: float32 images [N, h, w, 3], normalised -> list of tensors.
        image_hw: input size of the network, pixels.

    Attributes:
        result_name: what the results are called in signatures and graphs.
    """

    result_name: str

    def __init__(self, network: Callable[[tf.Tensor], list[tf.Tensor]], image_hw: tuple[int, int]):
        self._network = network
        self.image_hw = image_hw

    def with_network(self, network: Callable[[tf.Tensor], list[tf.Tensor]]) -> "Serving":
        """The same with another network, of the same inputs and outputs."""
        changed = copy.copy(self)
        changed._network = network
        return changed

    def network(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Runs the network alone on normalised images."""
        with tf.name_scope("network"):
            return list(self._network(images))

    @abc.abstractmethod
    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        """(operation, key in a signature) of each of the network's `count` outputs."""

    @property
    @abc.abstractmethod
    def input_specs(self) -> Any:
        """What `preprocess_arrays` makes of one photo: `tf.TensorSpec`s without the first axis."""

    @abc.abstractmethod
    def preprocess_arrays(self, image_arrays: tf.Tensor) -> Any:
        """uint8 photos of one size [N, H, W, 3] -> network inputs (a structure of tensors)."""

    @abc.abstractmethod
    def results(self, inputs: Any) -> tf.Tensor:
        """What is served, of preprocessed inputs; the first axis is the photo."""

    def preprocess_files(self, image_files: tf.Tensor) -> Any:
        """Encoded photos [N], each of its own size -> network inputs."""
        if image_files.shape[0] is not None:
            parts = [self._preprocess_file(data) for data in tf.unstack(image_files)]
            return tf.nest.map_structure(lambda *column: tf.stack(column), *parts)
        return tf.map_fn(self._preprocess_file, image_files, fn_output_signature=self.input_specs)

    def _preprocess_file(self, data: tf.Tensor) -> Any:
        inputs = self.preprocess_arrays(decode_upright(data)[tf.newaxis])
        return tf.nest.map_structure(lambda part: part[0], inputs)

    def results_from_arrays(self, image_arrays: tf.Tensor) -> tf.Tensor:
        """uint8 photos of one size [N, H, W, 3] -> results."""
        return self.results(self.preprocess_arrays(image_arrays))

    def results_from_files(self, image_files: tf.Tensor) -> tf.Tensor:
        """Encoded photos [N] -> results."""
        return self.results(self.preprocess_files(image_files))


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, BMP or GIF (its first frame) to uint8 [H, W, 3], as it is stored.

    Boxes of records belong to these pixels; photos are decoded by `decode_upright`.
    """
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, (None, None, 3))


def decode_upright(data: tf.Tensor) -> tf.Tensor:
    """Decodes one photo to uint8 [H, W, 3] and turns it as its EXIF orientation says."""
    return turn_upright(decode_image(data), exif_orientation(data))
