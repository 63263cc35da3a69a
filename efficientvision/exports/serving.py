"""Combines a network with its task's preprocessing and postprocessing."""

from typing import Any

from efficientvision.configs import DetectorConfig, SsdConfig, TrainingConfig
from efficientvision.exports.classification_serving import classification_serving
from efficientvision.exports.detection_serving import DetectionServing, detection_serving
from efficientvision.exports.segmentation_serving import segmentation_serving
from efficientvision.exports.serving_base import Serving
from efficientvision.exports.ssd_serving import SsdServing, ssd_serving


def detector_serving(
    model: Any, config: DetectorConfig, *, nms_mode: str = "per_class"
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


_MAKERS = {
    "detection": detector_serving,
    "classification": classification_serving,
    "segmentation": segmentation_serving,
}


def build_serving(model: Any, config: TrainingConfig, **options: Any) -> Serving:
    """Creates the `Serving` of a model, depending on its task.

    Args:
        model: a Keras model from `build_model`.
        config: its hyper-parameters.
        **options: options of the task's function, such as `segmentation_serving`.

    Raises:
        UserError: the model lacks the head that the task needs.
    """
    return _MAKERS[config.task](model, config, **options)
