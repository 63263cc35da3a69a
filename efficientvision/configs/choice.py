"""Creates the configuration of a model by its name and task."""

from __future__ import annotations

from efficientvision.configs.apply import converted
from efficientvision.configs.classification import ClassificationConfig, classification_defaults
from efficientvision.configs.detection import DetectionConfig
from efficientvision.configs.overrides import read_yaml
from efficientvision.configs.segmentation import SegmentationConfig, segmentation_defaults
from efficientvision.configs.ssd import SsdConfig, ssd_defaults
from efficientvision.errors import UserError
from efficientvision.registry import detection_defaults, is_ssd, nearest_names, task_of

Config = DetectionConfig | SsdConfig | ClassificationConfig | SegmentationConfig

_TASKS = {
    "detection": (DetectionConfig, detection_defaults),
    "classification": (ClassificationConfig, classification_defaults),
    "segmentation": (SegmentationConfig, segmentation_defaults),
}
_SSD = (SsdConfig, ssd_defaults)


def get_config(model_name: str, *overrides: str | dict | None, task: str | None = None) -> Config:
    """Returns the configuration of a model.

    Args:
        model_name: One of `registry.list_models(task)`.
        *overrides: Changes, applied in order; each in a form that `TrainingConfig.override`
            accepts.
        task: "detection" (an EfficientDet, or an SSD on the backbone of that name),
            "classification" or "segmentation"; None: inferred from the model's name.

    Returns:
        The model's published defaults with the overrides applied.

    Raises:
        UserError: The model or a hyper-parameter is unknown, or a value is bad.
    """
    task = task or task_of(model_name)
    if task not in _TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(str(task), tuple(_TASKS))}")
    kind, defaults = _SSD if is_ssd(model_name, task) else _TASKS[task]
    config = kind()
    for name, value in defaults(model_name).items():
        setattr(config, name, converted(config, name, value))
    for change in overrides:
        config.override(change)
    return config


def config_from_yaml(path: str, *overrides: str | dict | None) -> Config:
    """Reads the `config.yaml` of a run folder and applies further overrides.

    Raises:
        UserError: The file is missing, is malformed or does not name a model.
    """
    content = read_yaml(path)
    name = content.get("name")
    if name is None:
        raise UserError(f"The configuration file {path} does not name a model: it has no `name`.")
    # Runs of the first version have no `task`: all of them were detectors.
    return get_config(name, path, *overrides, task=content.get("task"))
