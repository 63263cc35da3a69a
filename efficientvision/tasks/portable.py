"""Runs portable files on photos: what all tasks share."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.metadata import ModelMetadata

# images float32 [N, h, w, 3] -> the exported function's outputs by name; its attribute
# `input_shape` is the graph's input shape, if the runtime knows it.
PortableNetwork = Callable[[np.ndarray], dict[str, np.ndarray]]
# uint8 photos of one size [N, H, W, 3] -> results, one for each.
RunPhotos = Callable[[np.ndarray], np.ndarray]


def of_photos(fit: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[np.ndarray], tf.Tensor]:
    """Wraps a function of photos of one size, uint8 [N, H, W, 3], as one graph for all sizes."""
    photos = tf.TensorSpec((None, None, None, 3), tf.uint8)
    return tf.function(fit, [photos], autograph=False)


def compiled(function: Callable[[tf.Tensor], tf.Tensor]) -> RunPhotos:
    """Compiles a function of photos into one graph for all sizes, from array to array."""
    graph = of_photos(function)
    return lambda image_arrays: graph(image_arrays).numpy()


def check_number(photos: np.ndarray, metadata: ModelMetadata) -> None:
    """Raises UserError if a file takes a different number of photos at a time."""
    batch = metadata.batch_size or 1
    if len(photos) != batch:
        raise UserError(f"this file takes {batch} photos at a time, not {len(photos)}")


def output(outputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Returns the output of that name; raises UserError if the file has none."""
    if name not in outputs:
        raise UserError(
            f"this file gives {', '.join(outputs)}, and its metadata is of one that gives {name}: "
            "export the model again"
        )
    return outputs[name]


class PhotoRunner:
    """Fits photos to the input of a portable file, runs it, and returns its results.

    Args:
        network: The file.
        metadata: Its metadata.
        fit: Photos of one size, uint8 [N, H, W, 3] -> images of the size of the input.
    """

    def __init__(
        self,
        network: PortableNetwork,
        metadata: ModelMetadata,
        fit: Callable[[tf.Tensor], tf.Tensor],
    ):
        self._network = network
        self._metadata = metadata
        self._fit = of_photos(fit)

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        check_number(photos, self._metadata)
        images = self._fit(photos).numpy().astype(np.float32)
        return output(self._network(images), self._metadata.result_name)
