"""Mosaic: one picture put together from parts of four (Bochkovskiy et al., YOLOv4, section 3.3).

The network sees objects in more surroundings, and cut off more often, than the photos show.
"""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.transforms.preprocess import Size

NUM_TILES = 4
# The point where the four parts meet, as a fraction of each side, uniform between these.
SPLIT_MIN, SPLIT_MAX = 0.25, 0.75
# Boxes are dropped of which a part shows less than this: pixels of the input; share of the area.
MIN_SIDE, MIN_SHARE = 2.0, 0.1


def draw_tiles(seed: tf.Tensor, canvas_hw: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws how the canvas is divided.

    Args:
        seed: int [2].
        canvas_hw: (height, width).

    Returns:
        (origins_yx, sizes_hw), int32 [4, 2] each: top left, top right, bottom left, bottom right.
    """
    fraction = tf.random.stateless_uniform([2], seed, SPLIT_MIN, SPLIT_MAX)
    size = tf.constant(canvas_hw, tf.int32)
    split = tf.cast(tf.cast(size, tf.float32) * fraction, tf.int32)
    rest = size - split
    origins = tf.stack(
        [tf.zeros_like(split), tf.stack([0, split[1]]), tf.stack([split[0], 0]), split]
    )
    sizes = tf.stack([split, tf.stack([split[0], rest[1]]), tf.stack([rest[0], split[1]]), rest])
    return origins, sizes


def join_tiles(tiles: list[tf.Tensor], canvas_hw: Size) -> tf.Tensor:
    """Four images, sized as :func:`draw_tiles` says -> the canvas [H, W, 3]."""
    top, bottom = (tf.concat(tiles[k : k + 2], axis=1) for k in (0, 2))
    canvas = tf.concat([top, bottom], axis=0)
    canvas.set_shape([*canvas_hw, 3])
    return canvas


def crop_boxes(boxes_yxyx: tf.Tensor, tile_hw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips boxes to a tile and says which are still worth learning.

    Args:
        boxes_yxyx: float32 [n, 4] in pixels, relative to the tile.
        tile_hw: int32 [2].

    Returns:
        (boxes, kept): float32 [n, 4] and bool [n]; what is cut away to a sliver is not kept.
    """
    clipped = tf.clip_by_value(boxes_yxyx, 0.0, tf.cast(tf.tile(tile_hw, [2]), tf.float32))
    size, whole = (b[:, 2:] - b[:, :2] for b in (clipped, boxes_yxyx))
    share = tf.reduce_prod(size, axis=1) / tf.maximum(tf.reduce_prod(whole, axis=1), 1e-6)
    return clipped, (tf.reduce_min(size, axis=1) >= MIN_SIDE) & (share >= MIN_SHARE)
