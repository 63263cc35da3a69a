"""Configuration: typed hyper-parameters and the grammar that overrides them."""

from efficientvision.configs.detection import (
    DetectionConfig,
    NmsConfig,
    config_from_yaml,
    get_config,
)
from efficientvision.configs.kinds import parse_image_size
from efficientvision.configs.overrides import parse_overrides, read_yaml

__all__ = [
    "DetectionConfig",
    "NmsConfig",
    "config_from_yaml",
    "get_config",
    "parse_image_size",
    "parse_overrides",
    "read_yaml",
]
