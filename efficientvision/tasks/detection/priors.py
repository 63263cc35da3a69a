"""SSD's prior boxes, and the encoding of boxes relative to them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from efficientvision.configs import parse_image_size
from efficientvision.data import boxes as box_ops
from efficientvision.tasks.detection.anchors import AnchorLevel

# Divide the deltas of centre and size (Liu et al. call them variances).
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
_LEVELS = range(3, 9)
_STRIDED_LEVELS = range(3, 7)
_LAST_LEVEL = _LEVELS[-1]
# Scale of the smallest priors, and of those after the largest, relative to the image side.
MIN_SCALE, MAX_SCALE = 0.1, 1.05
_ASPECT_RATIOS = (2, 3)


def prior_levels(
    image_hw: int | str | Sequence[int],
    min_scale: float = MIN_SCALE,
    max_scale: float = MAX_SCALE,
) -> list[AnchorLevel]:
    """Returns the cells and prior sizes of every level, finest first.

    Levels 3 to 6 have strides 8 to 64; on the two coarsest, whose maps hardly depend on the image
    size, the cells divide the image evenly. Sizes increase linearly, by default from a tenth of a
    side to the whole side. Each axis uses its own side because photos are stretched to the input.

    Args:
        image_hw: Network input: (height, width) in pixels, a side length, or "WxH".
        min_scale: Size of the finest level's square prior, relative to the image side.
        max_scale: The same for a level beyond the coarsest.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2.
    """
    image = np.array(parse_image_size(image_hw), np.float64)
    # [levels + 1, 2], whole pixels; a level's last size is the next one's first.
    sizes = np.stack([_sizes(side, min_scale, max_scale) for side in image], axis=-1)
    levels = []
    for index, level in enumerate(_LEVELS):
        cells = np.ones(2) if level == _LAST_LEVEL else np.ceil(image / 2**level)
        strides = np.full(2, 2.0**level) if level in _STRIDED_LEVELS else image / cells
        least, next_least = sizes[index], sizes[index + 1]
        shapes = [least, np.sqrt(least * next_least)]
        for ratio in _ASPECT_RATIOS:
            wide = np.array([1 / math.sqrt(ratio), math.sqrt(ratio)])
            shapes += [least * wide, least * wide[::-1]]
        levels.append(AnchorLevel(cells.astype(int), strides, np.stack(shapes)))
    return levels


def _sizes(side: float, *scales: float) -> np.ndarray:
    bounds = (math.ceil(share * side) for share in scales)
    return np.floor(np.linspace(*bounds, len(_LEVELS) + 1))


def prior_centers_and_sizes(
    image_hw: int | str | Sequence[int],
    min_scale: float = MIN_SCALE,
    max_scale: float = MAX_SCALE,
) -> np.ndarray:
    """Returns the priors in centre form, as fractions of the image's sides.

    Order: level (finest first), then row-major over the cells, then by shape: a square, a square
    between this level's size and the next, then 2:1, 1:2, 3:1 and 1:3 (width to height).

    Args:
        image_hw, min_scale, max_scale: As in `prior_levels`.

    Returns:
        float32 [P, 4]: x centre, y centre, width, height, each clipped to [0, 1].
    """
    return _cached_priors(parse_image_size(image_hw), min_scale, max_scale).copy()


@functools.lru_cache(maxsize=8)
def _cached_priors(image_hw: tuple[int, int], min_scale: float, max_scale: float) -> np.ndarray:
    image = np.array(image_hw, np.float64)
    levels = []
    for cells_hw, strides, sizes_hw in prior_levels(image_hw, min_scale, max_scale):
        y, x = ((np.arange(n) + 0.5) * step for n, step in zip(cells_hw, strides, strict=True))
        centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None] / image
        sizes = np.broadcast_to(sizes_hw / image, (*cells_hw, *sizes_hw.shape))
        centers = np.broadcast_to(centers, sizes.shape)
        levels.append(np.concatenate([centers[..., ::-1], sizes[..., ::-1]], -1).reshape(-1, 4))
    return np.clip(np.concatenate(levels), 0.0, 1.0).astype(np.float32)


def generate_priors(
    image_hw: int | str | Sequence[int],
    min_scale: float = MIN_SCALE,
    max_scale: float = MAX_SCALE,
) -> np.ndarray:
    """Returns the prior boxes in the order of the network's predictions.

    Args:
        image_hw, min_scale, max_scale: As in `prior_levels`.

    Returns:
        float32 [P, 4]: ymin, xmin, ymax, xmax as fractions of the network input's sides; they
        extend beyond its border. A small object may lie within several priors of equal area: which
        of them overlaps it most depends on the last bit, and matches the original only in this
        unit.
    """
    priors = prior_centers_and_sizes(image_hw, min_scale, max_scale)
    centers, half_sizes = priors[:, 1::-1], priors[:, :1:-1] / np.float32(2.0)
    return np.concatenate([centers - half_sizes, centers + half_sizes], axis=-1)


def box_deltas_to_locations(box_deltas: tf.Tensor) -> tf.Tensor:
    """Box deltas ty, tx, th, tw [..., 4] of `boxes.encode` -> what the network is to say of them.

    Returns:
        [..., 4]: x and y divided by `CENTER_VARIANCE`, width and height by `SIZE_VARIANCE`.
    """
    ty, tx, th, tw = tf.unstack(box_deltas, axis=-1)
    return tf.stack(
        [tx / CENTER_VARIANCE, ty / CENTER_VARIANCE, tw / SIZE_VARIANCE, th / SIZE_VARIANCE],
        axis=-1,
    )


def decode_locations(locations: tf.Tensor, priors_yxyx: tf.Tensor) -> tf.Tensor:
    """Decodes the network's locations to boxes.

    Args:
        locations: float32 [..., 4]: x, y, width, height, as `box_deltas_to_locations`.
        priors_yxyx: float32, broadcastable to them.

    Returns:
        float32 [..., 4] boxes_yxyx in the priors' unit, not clipped.
    """
    x, y, width, height = tf.unstack(locations, axis=-1)
    box_deltas = [
        y * CENTER_VARIANCE,
        x * CENTER_VARIANCE,
        height * SIZE_VARIANCE,
        width * SIZE_VARIANCE,
    ]
    return box_ops.decode(tf.stack(box_deltas, axis=-1), priors_yxyx)
