"""Hyper-parameters of a counter."""

from __future__ import annotations

import dataclasses

from efficientvision.configs.apply import with_values
from efficientvision.configs.field_types import IMAGE_SIZE, TEXT, hyperparameter, integer, one_of
from efficientvision.configs.training import TrainingConfig


@dataclasses.dataclass(slots=True)
class CountingConfig(TrainingConfig):
    """The shared hyper-parameters, and the width of the network."""

    name: str = hyperparameter("blob_counter", TEXT, "model name")
    task: str = hyperparameter("counting", one_of("counting"), "what the model does")
    image_size: int | str | tuple[int, int] = hyperparameter(32, IMAGE_SIZE, "input size")
    num_classes: int = hyperparameter(1, integer(minimum=1), "kinds of objects that are counted")
    width: int = hyperparameter(8, integer(minimum=1), "channels of the network")


def default_config(model_name: str) -> CountingConfig:
    """The hyper-parameters of any counter."""
    values = {"name": model_name, "optimizer": "adam", "learning_rate": 0.02}
    values |= {"scale_learning_rate": False, "lr_warmup_epoch": 0.0, "moving_average_decay": 0.0}
    return with_values(CountingConfig(), values)
