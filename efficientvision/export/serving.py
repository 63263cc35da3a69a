"""A network joined with its task's preprocessing and postprocessing."""

from typing import Any

from efficientvision.configs import DetectionConfig, TrainingConfig
from efficientvision.export.classification_serving import classification_serving
from efficientvision.export.detection_serving import detection_serving
from efficientvision.export.serving_base import Serving


def build_serving(model: Any, config: TrainingConfig) -> Serving:
    """What an export of a model serves, after the kind of its configuration.

    Args:
        model: a Keras model, as `build_model` makes it.
        config: its hyper-parameters.

    Raises:
        UserError: the model has no part that serves anything.
    """
    make = detection_serving if isinstance(config, DetectionConfig) else classification_serving
    return make(model, config)
