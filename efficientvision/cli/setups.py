"""The kinds of runs by task name."""

from __future__ import annotations

from efficientvision.cli.classification_setup import ClassificationSetup
from efficientvision.cli.detection_setup import DetectionSetup
from efficientvision.cli.task_setup import TaskSetup
from efficientvision.configs import TrainingConfig

_SETUPS: dict[str, TaskSetup] = {
    "detection": DetectionSetup(),
    "classification": ClassificationSetup(),
}


def setup_named(task: str) -> TaskSetup:
    """The setup of a task."""
    return _SETUPS[task]


def setup_of(config: TrainingConfig) -> TaskSetup:
    """The setup of a configuration's task."""
    return _SETUPS[config.task]
