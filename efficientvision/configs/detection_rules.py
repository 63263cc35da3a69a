"""What detectors' hyper-parameters do to each other: the fusion network, NMS, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efficientvision.configs.apply import converted, field_table, known_name
from efficientvision.errors import UserError
from efficientvision.registry import detection_defaults, vfpn_cell_repeats

if TYPE_CHECKING:
    from efficientvision.configs.detection import DetectionConfig, NmsConfig

# The fork's fusion names carried the weighing with them.
_FPN_NAMES = {"bifpn_sum": "sum", "bifpn_fa": "fastattn", "bifpn_dyn": None}

# What follows from fpn_name as long as nobody sets it: see settle_fusion.
_FUSION_DEPENDENT = ("fpn_cell_repeats", "fpn_weight_method", "aspect_ratios")


def apply_special(config: DetectionConfig, name: str, value: Any, notes: list[str]) -> bool:
    """Sets `nms_configs`, or `fpn_name` by a name that carries the weighing with it.

    Returns:
        Whether it was one of these.
    """
    if name == "nms_configs":
        _apply_nms(config.nms_configs, value, notes)
        return True
    if name == "fpn_name" and isinstance(value, str) and value in _FPN_NAMES:
        config.fpn_name = "bifpn"
        if _FPN_NAMES[value]:
            config.fpn_weight_method = _FPN_NAMES[value]
            config._explicit.add("fpn_weight_method")
        config._explicit.add("fpn_name")
        return True
    return False


def _apply_nms(nms: NmsConfig, values: Any, notes: list[str]) -> None:
    if not isinstance(values, dict):
        raise UserError(
            f"nms_configs is a group: set its parts, as in nms_configs.score_thresh=0.4; got "
            f"{str(values)!r}."
        )
    fields = [f"nms_configs.{name}" for name in field_table(nms)]
    for name, value in values.items():
        name = known_name(f"nms_configs.{name}", value, fields, notes)
        if name is not None:
            part = name.removeprefix("nms_configs.")
            setattr(nms, part, converted(nms, part, value, "nms_configs."))


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
