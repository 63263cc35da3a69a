"""The kinds of runs by task and model."""

from __future__ import annotations

from efficientvision.cli.classification_setup import ClassificationSetup
from efficientvision.cli.detection_setup import DetectionSetup, SsdSetup
from efficientvision.cli.segmentation_setup import SegmentationSetup
from efficientvision.cli.task_setup import TaskSetup
from efficientvision.configs import TrainingConfig
from efficientvision.registry import is_ssd

_SETUPS: dict[str, TaskSetup] = {
    "detection": DetectionSetup(),
    "classification": ClassificationSetup(),
    "segmentation": SegmentationSetup(),
}
_SSD_SETUP = SsdSetup()


def setup_for(model_name: str, task: str) -> TaskSetup:
    """The setup of a model and its task."""
    return _SSD_SETUP if is_ssd(model_name, task) else _SETUPS[task]


def setup_of(config: TrainingConfig) -> TaskSetup:
    """The setup of a configuration."""
    return setup_for(config.name, config.task)
