"""SSD detection from encoded images to detections, as one TensorFlow graph."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from efficientvision.data.transforms.preprocess import normalize, stretch
from efficientvision.errors import UserError
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.serving import DetectionServing, detection_serving, to_rows
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_postprocess import postprocess_ssd
from efficientvision.tasks.serving import Serving


class Stretched(NamedTuple):
    """A preprocessed batch.

    Attributes:
        images: uint8 [N, h, w, 3], photos stretched to the network's input.
        photo_hw: int32 [N, 2], original sizes of the photos in pixels.
    """

    images: tf.Tensor
    photo_hw: tf.Tensor


class SsdServing(Serving):
    """Network, preprocessing and postprocessing of an SSD.

    Its results are `detections`, float32 [N, max, 7], see `serving.to_rows`.

    Args:
        network: float32 images [N, h, w, 3], normalised -> confidences [N, P, C], locations
            [N, P, 4].
        config: its hyper-parameters; `nms_configs` sets NMS and thresholds.
        static: apply NMS like the portable exports, see `postprocess_ssd`.
    """

    result_name = "detections"

    def __init__(
        self,
        network: Callable[[tf.Tensor], list[tf.Tensor]],
        config: SsdConfig,
        *,
        static: bool = False,
    ):
        super().__init__(network, config.image_hw)
        self._config = config
        self._static = static
        self._priors = generate_priors(**config.anchor_options)

    def network_output_names(self, count: int) -> list[tuple[str, str]]:
        return [(name, name) for name in ("confidences", "locations")]

    @property
    def input_specs(self) -> Stretched:
        return Stretched(
            tf.TensorSpec((*self.image_hw, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)
        )

    def preprocess_arrays(self, image_arrays: tf.Tensor) -> Stretched:
        shape = tf.shape(image_arrays)
        photo_hw = tf.tile(shape[tf.newaxis, 1:3], [shape[0], 1])
        return Stretched(stretch(image_arrays, self.image_hw), photo_hw)

    def results(self, inputs: Stretched) -> tf.Tensor:
        config = self._config
        with tf.name_scope("normalize"):
            images = normalize(inputs.images, None, config.mean_rgb, config.stddev_rgb)
        confidences, locations = self.network(images)
        with tf.name_scope("postprocess"):
            detections = postprocess_ssd(
                confidences,
                locations,
                inputs.photo_hw,
                priors_yxyx=self._priors,
                nms=config.nms_configs,
                image_hw=self.image_hw if self._static else None,
            )
        return to_rows(detections)


def ssd_serving(model: Any, config: SsdConfig, *, nms_mode: str = "per_class") -> SsdServing:
    """Combines a Keras SSD with the preprocessing and postprocessing of its configuration.

    Args:
        model: images [N, h, w, 3] -> (confidences, locations), from `build_model`.
        config: its hyper-parameters.
        nms_mode: "per_class", as in evaluation, or "offset", as in the portable exports.

    Raises:
        UserError: the mode is unknown.
    """
    if nms_mode not in ("per_class", "offset"):
        raise UserError(f"An SSD's NMS mode must be per_class or offset, not {nms_mode!r}.")
    return SsdServing(
        lambda images: list(model(images, training=False)), config, static=nms_mode == "offset"
    )


def detector_serving(
    model: Any, config: DetectionConfig, *, nms_mode: str = "per_class"
) -> DetectionServing | SsdServing:
    """Creates the `Serving` of a detector.

    Args:
        model: a Keras model from `build_model`.
        config: its hyper-parameters.
        nms_mode: see `detection_serving` and `ssd_serving`.

    Raises:
        UserError: the model has no detection head, or the mode is unknown.
    """
    make = ssd_serving if isinstance(config, SsdConfig) else detection_serving
    return make(model, config, nms_mode=nms_mode)
