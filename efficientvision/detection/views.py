"""Several looks at one photo: its mirror image, other input sizes; and the way back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from efficientvision.errors import UserError


class View(NamedTuple):
    """One look at a photo.

    Attributes:
        image_hw: (height, width) of the network's input, pixels.
        mirrored: Whether left and right are exchanged.
    """

    image_hw: tuple[int, int]
    mirrored: bool


def make_views(
    image_hw: tuple[int, int],
    scales: Sequence[float] = (1.0,),
    *,
    mirrored: bool = False,
    multiple: int = 8,
) -> list[View]:
    """The looks of an evaluation with several input sizes, each perhaps mirrored too.

    Args:
        image_hw: The network's own input, pixels: the size at scale 1, taken as it is.
        scales: Factors of it. Other sizes are rounded to a multiple.
        mirrored: Each size once more, mirrored.
        multiple: Of pixels, for other sizes; the stride of the finest feature level.

    Returns:
        The views, size by size in the order of `scales`, the mirrored one second.

    Raises:
        UserError: No scales, one that is not positive, or two that give the same size.
    """
    if not scales or any(not scale > 0 for scale in scales):
        raise UserError(f"The input scales of an evaluation must be above 0, got {list(scales)}.")
    sizes = [image_hw if scale == 1 else _scaled(image_hw, scale, multiple) for scale in scales]
    for first, size in enumerate(sizes):
        if size in sizes[:first]:
            other = scales[sizes.index(size)]
            raise UserError(
                f"The input scales {other:g} and {scales[first]:g} both give {size[1]}x{size[0]} "
                f"pixels (sizes are multiples of {multiple}): leave one out."
            )
    return [
        View(size, flip) for size in sizes for flip in ((False, True) if mirrored else (False,))
    ]


def _scaled(image_hw: tuple[int, int], scale: float, multiple: int) -> tuple[int, int]:
    height, width = (max(1, round(side * scale / multiple)) * multiple for side in image_hw)
    return height, width


def mirror(images: tf.Tensor, valid_hw: tf.Tensor) -> tf.Tensor:
    """Photos on a canvas with left and right exchanged; the padding stays where it is.

    So the network sees what flipped training images look like. (The original's evaluation mirrors
    the padding too.)

    Args:
        images: [B, H, W, C], photos in the top-left corners.
        valid_hw: int32 [B, 2], their sizes on the canvas, pixels.
    """
    return tf.reverse_sequence(images, valid_hw[:, 1], seq_axis=2, batch_axis=0)


def boxes_on_photo(
    boxes_yxyx: tf.Tensor, valid_hw: tf.Tensor, original_hw: tf.Tensor, *, mirrored: bool
) -> tf.Tensor:
    """Boxes of a view as boxes of the photo.

    A photo is fitted into the input in whole pixels, so height and width shrink by factors that
    differ a little; each axis goes back by its own, and a box comes back exactly.

    Args:
        boxes_yxyx: float32 [B, N, 4], pixels of the network's input.
        valid_hw: int32 [B, 2], size of the photo on that input, pixels.
        original_hw: int32 [B, 2], size of the photo, pixels.
        mirrored: Whether the network saw `mirror` of it.

    Returns:
        float32 [B, N, 4], pixels of the photo, not clipped.
    """
    valid = tf.cast(valid_hw, tf.float32)
    if mirrored:
        ymin, xmin, ymax, xmax = tf.unstack(boxes_yxyx, axis=-1)
        width = valid[:, 1:]
        boxes_yxyx = tf.stack([ymin, width - xmax, ymax, width - xmin], axis=-1)
    scale_yx = tf.cast(original_hw, tf.float32) / valid
    return boxes_yxyx * tf.tile(scale_yx, [1, 2])[:, tf.newaxis]
