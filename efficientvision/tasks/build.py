"""Builder arguments that the networks of all tasks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from efficientvision.configs import TrainingConfig, parse_image_size
from efficientvision.configs.field_types import checked, integer
from efficientvision.errors import UserError
from efficientvision.registry import family_of, nearest_names

_FAMILY_OPTIONS = {"efficientnet": ("act_type",), "dicenet": ("build_size",)}
_WIDTHS = ("num_classes", "decoder_width", "pyramid_width")


def batch_norm_options(config: TrainingConfig) -> dict[str, Any]:
    """Arguments of every `BatchNorm` in a network."""
    return {
        "momentum": config.bn_momentum,
        "epsilon": config.bn_epsilon,
        "synchronized": config.sync_bn,
        "frozen": not config.is_training_bn,
    }


def family_options(config: TrainingConfig) -> dict[str, Any]:
    """Arguments specific to the backbone's family."""
    family = family_of(config.name)
    if family == "efficientnet":
        return {"act_type": config.act_type}
    return {"build_hw": parse_image_size(config.build_size)} if family == "dicenet" else {}


def build_by_name(
    build: Callable[..., keras.Model],
    name: str,
    hyper_parameters: dict[str, Any],
    *,
    task: str,
    known: tuple[str, ...],
    image_size: int,
    least_classes: int = 1,
    **top: Any,
) -> keras.Model:
    """Builds a network named after its backbone from a few hyper-parameters.

    Args:
        build: Builder function.
        name: Backbone name.
        hyper_parameters: Values by name.
        task: Task name, for the error message.
        known: Hyper-parameters of the task, in addition to the backbone's own.
        image_size: Default image size.
        least_classes: Lower bound of `num_classes`.
        **top: Further builder arguments.

    Raises:
        UserError: A hyper-parameter is unknown or has an invalid value.
    """
    known = (*known, *_FAMILY_OPTIONS.get(family_of(name), ()))
    unknown = sorted(set(hyper_parameters) - set(known))
    if unknown:
        raise UserError(
            f"{name} has no hyper-parameter {unknown[0]!r} for {task}. "
            f"{nearest_names(unknown[0], known)}"
        )
    width = integer(minimum=least_classes)
    options = {
        key: checked(key, value, width) if key in _WIDTHS and value is not None else value
        for key, value in hyper_parameters.items()
    }
    if "build_size" in options:
        options["build_hw"] = parse_image_size(options.pop("build_size"))
    image_hw = parse_image_size(options.pop("image_size", image_size))
    return build(name, image_hw=image_hw, **options, **top)
