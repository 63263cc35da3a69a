"""Applies overrides to a configuration: finds the field, checks the value, settles what follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.kinds import checked
from efficientvision.configs.overrides import RawText, parse_value
from efficientvision.errors import UserError
from efficientvision.registry import detection_defaults, nearest_names, vfpn_cell_repeats

if TYPE_CHECKING:
    from efficientvision.configs.detection import DetectionConfig, NmsConfig

# The fork's fusion names carried the weighing with them.
_FPN_NAMES = {"bifpn_sum": "sum", "bifpn_fa": "fastattn", "bifpn_dyn": None}

# What follows from fpn_name as long as nobody sets it: see settle_fusion.
_FUSION_DEPENDENT = ("fpn_cell_repeats", "fpn_weight_method", "aspect_ratios")


def field_table(config: DetectionConfig | NmsConfig) -> dict[str, dataclasses.Field]:
    """The hyper-parameters of a configuration or of its `nms_configs`, by name."""
    return {field.name: field for field in dataclasses.fields(config) if field.name[0] != "_"}


def converted(config: DetectionConfig | NmsConfig, name: str, value: Any, prefix: str = "") -> Any:
    """A value as the field of that name stores it.

    Raises:
        UserError: It is not of the field's kind.
    """
    kind = field_table(config)[name].metadata["kind"]
    if isinstance(value, RawText):
        quoted = value[:1] in ("'", '"')
        parsed = parse_value(value)
        value = str(value) if kind.keeps_text and parsed is not None and not quoted else parsed
    return checked(prefix + name, value, kind)


def apply_change(config: DetectionConfig, name: str, value: Any, notes: list[str]) -> None:
    """Sets one hyper-parameter by any of its names.

    Args:
        config: Changed in place.
        name: As the user wrote it.
        value: Plain value, `RawText` or a dictionary for `nms_configs`.
        notes: Receives a sentence for each obsolete name.

    Raises:
        UserError: The name is unknown or unavailable, or the value is bad.
    """
    name = _known(name, value, field_table(config), notes)
    if name is None:
        return
    if name == "nms_configs":
        _apply_nms(config.nms_configs, value, notes)
    elif name == "name":
        if value != config.name:
            raise UserError(
                f"The overrides are for the model {str(value)!r}, but the model asked for is "
                f"{config.name!r}; give the same name in both."
            )
    elif name == "fpn_name" and isinstance(value, str) and value in _FPN_NAMES:
        config.fpn_name = "bifpn"
        if _FPN_NAMES[value]:
            config.fpn_weight_method = _FPN_NAMES[value]
            config._explicit.add("fpn_weight_method")
        config._explicit.add("fpn_name")
    else:
        if isinstance(value, dict) and name != "label_map":
            raise UserError(f"Hyper-parameter {name} has no part {next(iter(value), '')!r}.")
        setattr(config, name, converted(config, name, value))
        config._explicit.add(name)


def _apply_nms(nms: NmsConfig, values: Any, notes: list[str]) -> None:
    if not isinstance(values, dict):
        raise UserError(
            f"nms_configs is a group: set its parts, as in nms_configs.score_thresh=0.4; got "
            f"{str(values)!r}."
        )
    fields = [f"nms_configs.{name}" for name in field_table(nms)]
    for name, value in values.items():
        name = _known(f"nms_configs.{name}", value, fields, notes)
        if name is not None:
            part = name.removeprefix("nms_configs.")
            setattr(nms, part, converted(nms, part, value, "nms_configs."))


def _known(name: str, value: Any, fields: Collection[str], notes: list[str]) -> str | None:
    """The field that a name means, or None where there is nothing to set."""
    name = ALIASES.get(name, name)
    if name in fields:
        return name
    if name in OBSOLETE:
        notes.append(f"Hyper-parameter {name} has no effect: {OBSOLETE[name]}.")
        return None
    if name in INVALID:
        plain = parse_value(value) if isinstance(value, RawText) else value
        if plain in INVALID[name].neutral:
            return None
        raise UserError(f"Hyper-parameter {name}={plain} is refused: {INVALID[name].reason}.")
    hint = nearest_names(name, [*fields, *ALIASES])
    raise UserError(f"Unknown hyper-parameter {name!r}. {hint}")


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


def check_together(config: DetectionConfig) -> None:
    """Checks the hyper-parameters that bound each other.

    Raises:
        UserError: A lower bound is above its upper one.
    """
    for low, high in (("min_level", "max_level"), ("jitter_min", "jitter_max")):
        if getattr(config, low) > getattr(config, high):
            raise UserError(
                f"{low}={getattr(config, low)} is above {high}={getattr(config, high)}."
            )
