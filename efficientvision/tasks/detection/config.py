"""The configuration of a detector by its name: EfficientDet's, or SSD's on a backbone."""

from __future__ import annotations

from efficientvision.configs.apply import with_values
from efficientvision.registry import detection_defaults, is_ssd
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.ssd_config import default_ssd


def default_config(model_name: str) -> DetectionConfig:
    """The published hyper-parameters of a detector.

    Args:
        model_name: One of `registry.list_models("detection")`.

    Raises:
        UserError: The name is unknown or is not a detector's.
    """
    if is_ssd(model_name, "detection"):
        return default_ssd(model_name)
    return with_values(EfficientDetConfig(), detection_defaults(model_name))
