"""Object detection from encoded images to detections, as one TensorFlow graph."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from efficientvision.data.transforms.preprocess import normalize, resize_and_pad
from efficientvision.errors import UserError
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.postprocess import Detections, postprocess
from efficientvision.tasks.serving import Serving


class Preprocessed(NamedTuple):
    """A preprocessed batch.

    Attributes:
        images: float32 [N, h, w, 3], pixel values 0..255, padded at the bottom and the right.
        image_scales: float32 [N], size of a pixel of the network's input in pixels of the photo.
        valid_hw: int32 [N, 2], height and width of the photo within the input.
    """

    images: tf.Tensor
    image_scales: tf.Tensor
    valid_hw: tf.Tensor


class DetectionServing(Serving):
    """Network, preprocessing and postprocessing of a detector.

    Its results are `detections`, float32 [N, max, 7], see `to_rows`.

    Args:
        network: float32 images [N, h, w, 3], normalised -> class logits of each level, finest
            first, then box deltas of each level.
        image_hw: input size of the network in pixels.
        mean_rgb: subtracted from the pixels (0..255), one number or three.
        stddev_rgb: divisor after the subtraction, one number or three.
        detect: (class logits, box deltas, image scales [N]) -> `Detections` in pixels of the
            photo.
    """

    result_name = "detections"

    def __init__(
        self,
        network: Callable[[tf.Tensor], list[tf.Tensor]],
        image_hw: tuple[int, int],
        *,
        mean_rgb: Any,
        stddev_rgb: Any,
        detect: Callable[..., Detections],
    ):
        super().__init__(network, image_hw)
        self.mean_rgb = mean_rgb
        self.stddev_rgb = stddev_rgb
        self._detect = detect

    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        return [
            (f"{part}_net/{part}-predict{f'_{i}' if i else ''}/BiasAdd", f"{part}_predict_{i}")
            for part in ("class", "box")
            for i in range(count // 2)
        ]

    @property
    def input_specs(self) -> Preprocessed:
        return Preprocessed(
            tf.TensorSpec((*self.image_hw, 3), tf.float32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        )

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> Preprocessed:
        return Preprocessed(*resize_and_pad(image_arrays, self.image_hw))

    def detect(self, inputs: Preprocessed) -> Detections:
        """Normalises images, runs the network, decodes boxes and applies NMS."""
        with tf.name_scope("normalize"):
            images = normalize(inputs.images, inputs.valid_hw, self.mean_rgb, self.stddev_rgb)
        outputs = self.network(images)
        levels = len(outputs) // 2
        with tf.name_scope("postprocess"):
            return self._detect(outputs[:levels], outputs[levels:], inputs.image_scales)

    def results(self, inputs: Preprocessed) -> tf.Tensor:
        return to_rows(self.detect(inputs))


def to_rows(detections: Detections) -> tf.Tensor:
    """Packs detections in the format of the published SavedModels.

    Returns:
        float32 [N, max, 7]: image_id (index in the batch), ymin, xmin, ymax, xmax in pixels of the
        photo, score, class (1..K); padded with score 0.
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


def detection_serving(
    model: Any, config: EfficientDetConfig, *, nms_mode: str = "per_class"
) -> DetectionServing:
    """Combines a Keras detector with the preprocessing and postprocessing of its configuration.

    Args:
        model: images [N, h, w, 3] -> (class logits, box deltas), from `build_model`; further
            outputs are ignored.
        config: its hyper-parameters; `nms_configs` sets NMS and thresholds.
        nms_mode: see `detection.postprocess.postprocess`; the default is that of evaluation.

    Raises:
        UserError: the model has no detection head.
    """
    if "object_detection" not in config.heads:
        raise UserError(
            f"heads={'+'.join(config.heads)}: detection needs the head object_detection"
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
        lambda images: tf.nest.flatten(model(images, training=False)[:2]),
        config.image_hw,
        mean_rgb=config.mean_rgb,
        stddev_rgb=config.stddev_rgb,
        detect=detect,
    )
