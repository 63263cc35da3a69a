"""Several looks at one photo: its mirror image, other input sizes; and the way back to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from efficientvision.errors import UserError


class View(NamedTuple):
    """One look at a photo.

    Attributes:
        image_hw: (height, width) of the network's input, pixels.
        fit_hw: The top-left part of the input, in which the photo is fitted; the rest is padding.
        mirrored: Whether left and right are exchanged.
    """

    image_hw: tuple[int, int]
    fit_hw: tuple[int, int]
    mirrored: bool


def make_views(
    image_hw: tuple[int, int],
    scales: Sequence[float] = (1.0,),
    *,
    mirrored: bool = False,
    step: int = 128,
) -> list[View]:
    """The looks of an evaluation with several scales, each perhaps mirrored too.

    How the cells of a feature level lie on the input depends on which of the sizes before it are
    odd, and a network knows only what it was trained with: on inputs of other remainders its boxes
    are displaced. So a photo gets any scale, but the input grows and shrinks in steps of the
    coarsest stride, which leave the remainders as they are. What the photo does not fill is
    padding.

    Args:
        image_hw: The network's own input, pixels: that of scale 1.
        scales: Factors by which photos are larger than there.
        mirrored: Each scale once more, mirrored.
        step: Stride of the coarsest feature level, pixels.

    Returns:
        The views, in the order of `scales`, the mirrored one second.

    Raises:
        UserError: No scales, one that is not positive, or two that come to the same size.
    """
    if not scales or any(not scale > 0 for scale in scales):
        raise UserError(f"The input scales of an evaluation must be above 0, got {list(scales)}.")
    fits = [tuple(max(1, round(side * scale)) for side in image_hw) for scale in scales]
    for position, fit in enumerate(fits):
        if fit in fits[:position]:
            raise UserError(
                f"The input scales {scales[fits.index(fit)]:g} and {scales[position]:g} both give "
                f"{fit[1]}x{fit[0]} pixels: leave one out."
            )
    return [
        View(_input_size(image_hw, fit, step), fit, flip)
        for fit in fits
        for flip in ((False, True) if mirrored else (False,))
    ]


def _input_size(image_hw: tuple[int, int], fit_hw: tuple[int, int], step: int) -> tuple[int, int]:
    """The least input that holds `fit_hw` and differs from `image_hw` by whole steps."""
    height, width = (
        own + step * math.ceil((fit - own) / step)
        for own, fit in zip(image_hw, fit_hw, strict=True)
    )
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
    boxes_yxyx: tf.Tensor, valid_hw: tf.Tensor, original_hw: tf.Tensor, *, mirrored: bool = False
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
