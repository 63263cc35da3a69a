"""Dependencies between EfficientDet's hyper-parameters: fusion network, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efficientvision.configs.apply import field_table
from efficientvision.errors import UserError
from efficientvision.registry import detection_defaults, vfpn_cell_repeats

if TYPE_CHECKING:
    from efficientvision.configs.detection import DetectionConfig

# The VFPN fork's names for fusion networks include the weighting method.
_FPN_NAMES = {"bifpn_sum": "sum", "bifpn_fa": "fastattn", "bifpn_dyn": None}

# Defaults that depend on fpn_name: see settle_fusion.
_FUSION_DEPENDENT = ("fpn_cell_repeats", "fpn_weight_method", "aspect_ratios")


def apply_fusion_name(config: DetectionConfig, name: str, value: Any) -> bool:
    """Sets `fpn_name` from a name that includes the weighting; returns whether it was one."""
    if name != "fpn_name" or not isinstance(value, str) or value not in _FPN_NAMES:
        return False
    config.fpn_name = "bifpn"
    if _FPN_NAMES[value]:
        config.fpn_weight_method = _FPN_NAMES[value]
        config._explicit.add("fpn_weight_method")
    config._explicit.add("fpn_name")
    return True


def settle_fusion(config: DetectionConfig) -> None:
    """Sets the defaults that depend on fpn_name, except those set by an override.

    VFPN has its own number of cells and always weights by fastattn. Its published checkpoints
    were trained with anchors whose sides are 1.4 and 0.7 times the square's.
    """
    defaults = {name: field_table(config)[name].default for name in _FUSION_DEPENDENT}
    defaults |= {k: v for k, v in detection_defaults(config.name).items() if k in defaults}
    if config.fpn_name == "vfpn":
        defaults = {
            "fpn_cell_repeats": vfpn_cell_repeats(config.name),
            "fpn_weight_method": "fastattn",
            "aspect_ratios": ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4)),
        }
    for name, value in defaults.items():
        if name not in config._explicit:
            setattr(config, name, value)


def check_bounds(config: DetectionConfig) -> None:
    """Checks pairs of lower and upper bounds.

    Raises:
        UserError: A lower bound is above its upper bound.
    """
    for low, high in (("min_level", "max_level"), ("jitter_min", "jitter_max")):
        if getattr(config, low) > getattr(config, high):
            raise UserError(
                f"{low}={getattr(config, low)} must not be above {high}={getattr(config, high)}."
            )
