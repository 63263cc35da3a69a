"""Normalisation that a published network was trained with; it travels with the weights."""

from __future__ import annotations

from dataclasses import dataclass

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
        return f"mean_rgb {_shown(self.mean_rgb)}, stddev_rgb {_shown(self.stddev_rgb)}"


# ImageNet's mean and standard deviation (0.485, 0.456, 0.406 and 0.229, 0.224, 0.225).
IMAGENET: tuple[Rgb, Rgb] = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Pixels from -1 to 1: mean and standard deviation 0.5.
INCEPTION: tuple[Rgb, Rgb] = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
# EfficientNet-lite as Google published it.
LITE: tuple[Rgb, Rgb] = ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


def _shown(rgb: Rgb) -> str:
    if len(set(rgb)) == 1:
        return f"{rgb[0]:g}"
    return f"({', '.join(f'{value:g}' for value in rgb)})"
