"""Keeps parts of a network as they are while the others train."""

from __future__ import annotations

from collections.abc import Collection

import keras

from efficientvision.errors import UserError
from efficientvision.weights.names import name_from_keras_path, part_of


def freeze_parts(model: keras.Model, parts: Collection[str]) -> None:
    """Makes the weights of whole parts untrainable, and their batch-norm statistics constant.

    A frozen part normalises with its moving statistics in training, as in evaluation. Stochastic
    depth, which the backbones of d1 and larger have, still acts. (`var_freeze_expr`, the
    original's way, leaves the statistics to follow the data.)

    Args:
        model: A detector.
        parts: Any of `backbone`, `fpn`, `class_net`, `box_net`.

    Raises:
        UserError: Nothing would be left to train.
    """
    if not parts:
        return
    frozen = total = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        count = layer.count_params()
        total += count
        if part_of(name_from_keras_path(layer.weights[0].path)) in parts:
            layer.trainable = False
            frozen += count
    if not model.trainable_variables:
        raise UserError(f"freeze={'+'.join(parts)} leaves nothing to train.")
    print(
        f"Frozen: {' and '.join(parts)}, {frozen:,} of {total:,} parameters, with their batch-norm "
        "statistics."
    )
