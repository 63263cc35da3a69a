"""Configuration: typed hyper-parameters and the grammar that overrides them."""

from efficientvision.configs.field_types import parse_image_size
from efficientvision.configs.overrides import parse_overrides, read_yaml
from efficientvision.configs.training import TrainingConfig

__all__ = ["TrainingConfig", "parse_image_size", "parse_overrides", "read_yaml"]
