"""Normalisation that a published network was trained with; it travels with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs.overrides import Recipe
from efficientvision.files import AnyPath

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation of pixels: `(pixel - mean_rgb) / stddev_rgb`.

    Attributes:
        mean_rgb: Subtracted from the pixels (0..255), per channel.
        stddev_rgb: Divides the result, per channel, in the same unit.
        source: Where these values come from, to end a sentence: "timm's tf_efficientnet_lite0".
    """

    mean_rgb: Rgb
    stddev_rgb: Rgb
    source: str

    def __str__(self) -> str:
        return f"mean_rgb={_shown(self.mean_rgb)}, stddev_rgb={_shown(self.stddev_rgb)}"


# ImageNet's mean and standard deviation (0.485, 0.456, 0.406 and 0.229, 0.224, 0.225).
IMAGENET: tuple[Rgb, Rgb] = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Pixels from -1 to 1: mean and standard deviation 0.5.
INCEPTION: tuple[Rgb, Rgb] = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
# EfficientNet-lite as Google published it.
LITE: tuple[Rgb, Rgb] = ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


def _shown(rgb: Rgb) -> str:
    if len(set(rgb)) == 1:
        return f"{rgb[0]:g}"
    return "*".join(f"{value:g}" for value in rgb)


def preprocessing_of(config: Any, source: str) -> Preprocessing:
    """The normalisation of a `TrainingConfig`."""
    mean, stddev = (np.broadcast_to(v, 3).tolist() for v in (config.mean_rgb, config.stddev_rgb))
    return Preprocessing(tuple(mean), tuple(stddev), source)


def follow_preprocessing(config: Any, trained: Preprocessing | None, path: AnyPath) -> list[str]:
    """Sets `mean_rgb` and `stddev_rgb` to those of the weights, unless the user set them.

    Args:
        config: A `TrainingConfig`; changed in place through its `override`.
        trained: Normalisation that the weights were trained with; None changes nothing.
        path: The checkpoint, for the message.

    Returns:
        One line to log if something changes, or if the user's values differ; else nothing.
    """
    if trained is None:
        return []
    own = preprocessing_of(config, "")
    differing = {
        name: list(getattr(trained, name))
        for name in ("mean_rgb", "stddev_rgb")
        if not np.allclose(getattr(own, name), getattr(trained, name), rtol=1e-4)
    }
    if not differing:
        return []
    if any(map(config.is_decided, differing)):
        return [
            f"WARNING: the weights in {files.as_text(path)} were trained with {trained} "
            f"({trained.source}), and you set {own}: remove these to use the former."
        ]
    config.override(Recipe(differing))
    return [f"{trained}: as the weights in {files.as_text(path)} were trained ({trained.source})."]
