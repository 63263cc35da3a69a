"""Anchor boxes of the EfficientDet family (RetinaNet, arXiv:1708.02002, section 4)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from efficientvision.configs import parse_image_size
from efficientvision.errors import UserError


def feature_sizes(image_hw: int | str | Sequence[int], max_level: int) -> list[tuple[int, int]]:
    """Sizes of the feature maps: entry `l` is the (height, width) of level `l`.

    Level 0 is the image itself and each level halves the one before it, rounding up.

    Args:
        image_hw: (height, width) in pixels, a side length, or a "WxH" string.
        max_level: The coarsest level to list.

    Returns:
        `max_level + 1` pairs (height, width).
    """
    sizes = [parse_image_size(image_hw)]
    for _ in range(max_level):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def anchor_shapes(
    num_scales: int, aspect_ratios: Sequence[float | Sequence[float]]
) -> list[tuple[float, float]]:
    """Relative (height, width) of each anchor of a cell, scale-major.

    An aspect ratio is width / height of a shape of unit area, or a pair of factors
    (of the width, of the height) that is used as it stands.
    """
    shapes = []
    for octave in range(num_scales):
        size = 2.0 ** (octave / num_scales)
        for aspect in aspect_ratios:
            if isinstance(aspect, (list, tuple)):
                width, height = (float(factor) for factor in aspect)
            else:
                width = float(np.sqrt(aspect))
                height = 1.0 / width
            shapes.append((size * height, size * width))
    return shapes


class AnchorLevel(NamedTuple):
    """The anchors of one feature level.

    Attributes:
        cells_hw: int [2], rows and columns of the feature map.
        stride_yx: float64 [2], size of a cell in pixels of the network input.
        sizes_hw: float64 [A, 2], (height, width) in pixels of the anchors around each centre.
    """

    cells_hw: np.ndarray
    stride_yx: np.ndarray
    sizes_hw: np.ndarray


def anchor_levels(
    image_hw: int | str | Sequence[int],
    min_level: int = 3,
    max_level: int = 7,
    num_scales: int = 3,
    aspect_ratios: Sequence[float | Sequence[float]] = (1.0, 2.0, 0.5),
    anchor_scale: float | Sequence[float] = 4.0,
) -> list[AnchorLevel]:
    """Cells and anchor sizes of every level, finest first; arguments as `generate_anchors`."""
    num_levels = max_level - min_level + 1
    scales = np.ravel(np.asarray(anchor_scale, np.float64)).tolist()
    if len(scales) == 1:
        scales *= num_levels
    if len(scales) != num_levels:
        raise UserError(
            f"anchor_scale has {len(scales)} entries for the {num_levels} levels "
            f"{min_level}..{max_level}; give one number or one for each level."
        )
    image = np.array(parse_image_size(image_hw))
    sizes = feature_sizes(image_hw, max_level)[min_level:]
    shapes = np.array(anchor_shapes(num_scales, aspect_ratios))  # [A, 2]
    levels = []
    for cells, scale in zip(map(np.array, sizes), scales, strict=True):
        stride = image / cells
        levels.append(AnchorLevel(cells, stride, scale * stride * shapes))
    return levels


def generate_anchors(
    image_hw: int | str | Sequence[int],
    min_level: int = 3,
    max_level: int = 7,
    num_scales: int = 3,
    aspect_ratios: Sequence[float | Sequence[float]] = (1.0, 2.0, 0.5),
    anchor_scale: float | Sequence[float] = 4.0,
) -> np.ndarray:
    """Anchor boxes of every level of a feature pyramid.

    Order: level (finest first), then row-major over the cells, then scale-major over
    scale x aspect ratio: the order of the heads' output channels.

    Args:
        image_hw: Network input: (height, width) in pixels, a side length, or "WxH".
        min_level: Finest level of the pyramid.
        max_level: Coarsest level of the pyramid.
        num_scales: Octave divisions of the anchor size per level.
        aspect_ratios: width / height, or pairs of factors (width, height).
        anchor_scale: Anchor side in strides; one number, or one for each level.

    Returns:
        float32 [A_total, 4]: ymin, xmin, ymax, xmax in pixels of the network input. They
        reach beyond the image at its border.

    Raises:
        UserError: A list of anchor scales does not have one entry per level.
    """
    aspects = tuple(tuple(a) if isinstance(a, (list, tuple)) else float(a) for a in aspect_ratios)
    scales = tuple(np.ravel(np.asarray(anchor_scale, np.float64)).tolist())
    size = parse_image_size(image_hw)
    return _cached_anchors(size, min_level, max_level, num_scales, aspects, scales).copy()


def anchor_strides(**options: Any) -> np.ndarray:
    """Distance of neighbouring anchor centres, in the order of `generate_anchors`.

    Args:
        **options: As for `generate_anchors`.

    Returns:
        float32 [A_total, 2]: (y, x) in pixels of the network input.
    """
    strides = [
        np.tile(level.stride_yx, (np.prod(level.cells_hw) * len(level.sizes_hw), 1))
        for level in anchor_levels(**options)
    ]
    return np.concatenate(strides).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _cached_anchors(*options) -> np.ndarray:
    levels = []
    for cells_hw, stride, sizes_hw in anchor_levels(*options):
        y, x = ((np.arange(n) + 0.5) * step for n, step in zip(cells_hw, stride, strict=True))
        centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None, :]
        boxes = np.concatenate([centers - sizes_hw / 2.0, centers + sizes_hw / 2.0], axis=-1)
        levels.append(boxes.reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)
