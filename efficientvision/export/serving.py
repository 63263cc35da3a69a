"""The whole way from encoded images to detections, as one TensorFlow graph."""

import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from efficientvision.configs import DetectionConfig
from efficientvision.data.transforms.preprocess import normalize, resize_and_pad
from efficientvision.detection.anchors import generate_anchors
from efficientvision.detection.postprocess import Detections, postprocess
from efficientvision.errors import UserError


class Preprocessed(NamedTuple):
    """A batch on its way into the network.

    Attributes:
        images: float32 [N, h, w, 3], pixel values 0..255, padded at the bottom and the right.
        image_scales: float32 [N], pixels of the photo for one pixel of the network input.
        valid_hw: int32 [N, 2], the part of the input that shows the photo.
    """

    images: tf.Tensor
    image_scales: tf.Tensor
    valid_hw: tf.Tensor


class DetectionServing:
    """Network, preprocessing and postprocessing of one detector.

    Args:
        network: float32 images [N, h, w, 3], normalised -> (class logits, box codes), lists,
            finest level first.
        image_hw: input size of the network, pixels.
        mean_rgb: subtracted from the pixels (0..255), one number or three.
        stddev_rgb: the difference is divided by it.
        detect: (class logits, box codes, image scales [N]) -> `Detections` in pixels of the photo.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        *,
        image_hw: tuple[int, int],
        mean_rgb: Any,
        stddev_rgb: Any,
        detect: Callable[..., Detections],
    ):
        self._network = network
        self.image_hw = image_hw
        self.mean_rgb = mean_rgb
        self.stddev_rgb = stddev_rgb
        self._detect = detect

    def with_network(self, network: Callable[..., Any]) -> "DetectionServing":
        """The same with another network, of the same inputs and outputs."""
        changed = copy.copy(self)
        changed._network = network
        return changed

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> Preprocessed:
        """uint8 photos of one size [N, H, W, 3] -> network input."""
        return Preprocessed(*resize_and_pad(image_arrays, self.image_hw))

    def preprocess_files(self, image_files: tf.Tensor) -> Preprocessed:
        """Encoded photos [N], each of its own size -> network input."""
        if image_files.shape[0] is not None:
            parts = [self._preprocess_file(data) for data in tf.unstack(image_files)]
            return Preprocessed(*(tf.stack(column) for column in zip(*parts, strict=True)))
        signature = Preprocessed(
            tf.TensorSpec((*self.image_hw, 3), tf.float32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        )
        return tf.map_fn(self._preprocess_file, image_files, fn_output_signature=signature)

    def _preprocess_file(self, data: tf.Tensor) -> Preprocessed:
        return Preprocessed(*resize_and_pad(decode_image(data), self.image_hw))

    def network(self, images: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Runs the network alone on normalised images; further heads are left out."""
        with tf.name_scope("network"):
            outputs = self._network(images)
        return list(outputs[0]), list(outputs[1])

    def detect(self, inputs: Preprocessed) -> Detections:
        """Normalises, runs the network, decodes and suppresses boxes."""
        with tf.name_scope("normalize"):
            images = normalize(inputs.images, inputs.valid_hw, self.mean_rgb, self.stddev_rgb)
        class_outputs, box_outputs = self.network(images)
        with tf.name_scope("postprocess"):
            return self._detect(class_outputs, box_outputs, inputs.image_scales)

    def detections_from_arrays(self, image_arrays: tf.Tensor) -> tf.Tensor:
        """uint8 photos of one size [N, H, W, 3] -> [N, max, 7], see `to_rows`."""
        return to_rows(self.detect(self.preprocess_arrays(image_arrays)))

    def detections_from_files(self, image_files: tf.Tensor) -> tf.Tensor:
        """Encoded photos [N] -> [N, max, 7], see `to_rows`."""
        return to_rows(self.detect(self.preprocess_files(image_files)))


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, BMP or GIF (its first frame) to uint8 [H, W, 3]."""
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, (None, None, 3))


def to_rows(detections: Detections) -> tf.Tensor:
    """Packs detections as the published SavedModels do.

    Returns:
        float32 [N, max, 7]: image_id (place in the batch), ymin, xmin, ymax, xmax in pixels of the
        photo, score, class (1..K). Rows beyond the last detection have score 0.
    """
    scores = tf.cast(detections.scores, tf.float32)
    image_ids = tf.range(tf.shape(scores)[0], dtype=tf.int32)
    columns = [
        tf.cast(image_ids[:, None], tf.float32) * tf.ones_like(scores),
        *tf.unstack(tf.cast(detections.boxes_yxyx, tf.float32), num=4, axis=-1),
        scores,
        tf.cast(detections.classes, tf.float32),
    ]
    return tf.stack(columns, axis=-1)


def build_serving(
    model: Any, config: DetectionConfig, *, nms_mode: str = "per_class"
) -> DetectionServing:
    """Joins a Keras detector with the preprocessing and postprocessing of its configuration.

    Args:
        model: images [N, h, w, 3] -> (class logits, box codes), as `build_model` makes it.
        config: its hyper-parameters; `nms_configs` decides what is suppressed and left out.
        nms_mode: see `detection.postprocess.postprocess`; the default is what evaluation does.

    Raises:
        UserError: the model has no detection head.
    """
    if "object_detection" not in config.heads:
        raise UserError(
            f"heads={'+'.join(config.heads)}: only a model with the head object_detection detects"
        )
    anchors = generate_anchors(**config.anchor_options)
    detect = functools.partial(
        postprocess,
        anchors=anchors,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        nms=config.nms_configs,
        mode=nms_mode,
    )
    return DetectionServing(
        lambda images: model(images, training=False),
        image_hw=config.image_hw,
        mean_rgb=config.mean_rgb,
        stddev_rgb=config.stddev_rgb,
        detect=detect,
    )
