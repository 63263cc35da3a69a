"""Configuration: typed hyper-parameters and the grammar that overrides them."""

from efficientvision.configs.choice import config_from_yaml, get_config
from efficientvision.configs.classification import ClassificationConfig
from efficientvision.configs.detection import DetectionConfig
from efficientvision.configs.detector import DetectorConfig, NmsConfig
from efficientvision.configs.kinds import parse_image_size
from efficientvision.configs.overrides import parse_overrides, read_yaml
from efficientvision.configs.segmentation import SegmentationConfig
from efficientvision.configs.ssd import SsdConfig
from efficientvision.configs.training import TrainingConfig

__all__ = [
    "ClassificationConfig",
    "DetectionConfig",
    "DetectorConfig",
    "NmsConfig",
    "SegmentationConfig",
    "SsdConfig",
    "TrainingConfig",
    "config_from_yaml",
    "get_config",
    "parse_image_size",
    "parse_overrides",
    "read_yaml",
]
