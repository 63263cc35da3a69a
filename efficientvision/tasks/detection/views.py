"""Views of a photo for TTA (mirrored, other input sizes), and mapping boxes back to the photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from efficientvision.errors import UserError


class View(NamedTuple):
    """One view of a photo.

    Attributes:
        image_hw: Network input (height, width) in pixels.
        fit_hw: Top-left part of the input into which the photo is fitted; the rest is padding.
        mirrored: Whether the photo is flipped left to right.
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
    """Returns the views for several scales, each optionally mirrored too.

    Where the cells of a feature level lie on the input depends on which of the finer levels have
    odd sizes, and a network only knows the layout it was trained with: on inputs with different
    remainders its boxes are displaced. So photos may have any scale, but the input size changes in
    steps of the coarsest stride, which preserves the remainders. The rest is padding.

    Args:
        image_hw: The network's own input in pixels, for scale 1.
        scales: Scale factors of the photos.
        mirrored: Also add each scale mirrored.
        step: Stride of the coarsest feature level in pixels.

    Returns:
        The views in the order of `scales`, each followed by its mirrored one.

    Raises:
        UserError: No scales, one that is not positive, or two that give the same size.
    """
    if not scales or any(not scale > 0 for scale in scales):
        raise UserError(f"TTA scales must be above 0, got {list(scales)}.")
    fits = [tuple(max(1, round(side * scale)) for side in image_hw) for scale in scales]
    for position, fit in enumerate(fits):
        if fit in fits[:position]:
            raise UserError(
                f"TTA scales {scales[fits.index(fit)]:g} and {scales[position]:g} both give "
                f"{fit[1]}x{fit[0]} pixels: remove one."
            )
    return [
        View(_input_size(image_hw, fit, step), fit, flip)
        for fit in fits
        for flip in ((False, True) if mirrored else (False,))
    ]


def _input_size(image_hw: tuple[int, int], fit_hw: tuple[int, int], step: int) -> tuple[int, int]:
    """Returns the smallest input that holds `fit_hw` and differs from `image_hw` by whole steps."""
    height, width = (
        own + step * math.ceil((fit - own) / step)
        for own, fit in zip(image_hw, fit_hw, strict=True)
    )
    return height, width


def mirror(images: tf.Tensor, valid_hw: tf.Tensor) -> tf.Tensor:
    """Flips photos on a canvas left to right; the padding stays in place.

    The result looks like flipped training images. (The original's evaluation mirrors the padding
    too.)

    Args:
        images: [B, H, W, C], photos in the top-left corners.
        valid_hw: int32 [B, 2], their sizes on the canvas in pixels.
    """
    return tf.reverse_sequence(images, valid_hw[:, 1], seq_axis=2, batch_axis=0)


def boxes_on_photo(
    boxes_yxyx: tf.Tensor, valid_hw: tf.Tensor, original_hw: tf.Tensor, *, mirrored: bool = False
) -> tf.Tensor:
    """Maps boxes of a view to the photo.

    A photo is fitted into the input in whole pixels, so height and width are scaled by slightly
    different factors; each axis is mapped back by its own, so boxes are recovered exactly.

    Args:
        boxes_yxyx: float32 [B, N, 4], pixels of the network input.
        valid_hw: int32 [B, 2], size of the photo on the input, in pixels.
        original_hw: int32 [B, 2], size of the photo in pixels.
        mirrored: Whether the view was flipped by `mirror`.

    Returns:
        float32 [B, N, 4], in photo pixels, not clipped.
    """
    valid = tf.cast(valid_hw, tf.float32)
    if mirrored:
        ymin, xmin, ymax, xmax = tf.unstack(boxes_yxyx, axis=-1)
        width = valid[:, 1:]
        boxes_yxyx = tf.stack([ymin, width - xmax, ymax, width - xmin], axis=-1)
    scale_yx = tf.cast(original_hw, tf.float32) / valid
    return boxes_yxyx * tf.tile(scale_yx, [1, 2])[:, tf.newaxis]
