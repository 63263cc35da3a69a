"""What an EfficientDet's hyper-parameters do to each other: the fusion network, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efficientvision.configs.apply import field_table
from efficientvision.errors import UserError
from efficientvision.registry import detection_defaults, vfpn_cell_repeats

if TYPE_CHECKING:
    from efficientvision.configs.detection import DetectionConfig

# The fork's fusion names carried the weighing with them.
_FPN_NAMES = {"bifpn_sum": "sum", "bifpn_fa": "fastattn", "bifpn_dyn": None}

# What follows from fpn_name as long as nobody sets it: see settle_fusion.
_FUSION_DEPENDENT = ("fpn_cell_repeats", "fpn_weight_method", "aspect_ratios")


def apply_fusion_name(config: DetectionConfig, name: str, value: Any) -> bool:
    """Sets `fpn_name` by a name that carries the weighing with it; returns whether it was one."""
    if name != "fpn_name" or not isinstance(value, str) or value not in _FPN_NAMES:
        return False
    config.fpn_name = "bifpn"
    if _FPN_NAMES[value]:
        config.fpn_weight_method = _FPN_NAMES[value]
        config._explicit.add("fpn_weight_method")
    config._explicit.add("fpn_name")
    return True


def settle_fusion(config: DetectionConfig) -> None:
    """Gives what hangs on fpn_name its value, unless an override set it.

    VFPN has its own number of cells, always weighs by fastattn, and its published checkpoints
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
    """Checks the hyper-parameters that bound each other.

    Raises:
        UserError: A lower bound is above its upper one.
    """
    for low, high in (("min_level", "max_level"), ("jitter_min", "jitter_max")):
        if getattr(config, low) > getattr(config, high):
            raise UserError(
                f"{low}={getattr(config, low)} is above {high}={getattr(config, high)}."
            )
