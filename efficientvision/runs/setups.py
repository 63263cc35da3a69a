"""The kinds of runs by task and model."""

from __future__ import annotations

from efficientvision.configs import TrainingConfig
from efficientvision.registry import is_ssd
from efficientvision.runs.classification_setup import ClassificationSetup
from efficientvision.runs.detection_setup import DetectionSetup, SsdSetup
from efficientvision.runs.segmentation_setup import SegmentationSetup
from efficientvision.runs.task_setup import TaskSetup

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
