"""Freezes parts of a network, or its batch norms."""

from __future__ import annotations

import logging
from collections.abc import Collection

import keras

from efficientvision.errors import UserError
from efficientvision.layers.normalization import BatchNorm
from efficientvision.weights.names import name_from_keras_path, part_of

log = logging.getLogger(__name__)


def freeze_parts(model: keras.Model, parts: Collection[str]) -> None:
    """Makes the weights of whole parts untrainable and their batch-norm statistics constant.

    During training, a frozen part normalises with its moving statistics, as in evaluation.
    Stochastic depth, which the backbones of d1 and larger have, stays active. (The original's
    `var_freeze_expr` keeps updating the statistics.)

    Args:
        model: A detector, a classifier or a segmentation network.
        parts: Any of `backbone`, `fpn`, `class_net`, `box_net`.

    Raises:
        UserError: Nothing is left to train.
    """
    if not parts:
        return
    frozen = sum(_freeze(layer, set(parts)) for layer in model.layers)
    total = model.count_params()
    if not model.trainable_variables:
        raise UserError(f"freeze={'+'.join(parts)} leaves nothing to train.")
    log.info(
        f"Frozen: {' and '.join(parts)}, {frozen:,} of {total:,} parameters, with their batch-norm "
        "statistics."
    )


def freeze_batch_norms(model: keras.Model) -> None:
    """Freezes every batch norm: statistics, scales and offsets.

    (EdgeNets' `--freeze-bn` was meant to do this, but there each epoch unfroze the statistics.)
    """
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, BatchNorm)]
    for layer in norms:
        layer.trainable = False
    log.info(f"Frozen: {len(norms)} batch norms, statistics, scales and offsets.")


def _freeze(layer: keras.Layer, parts: set[str]) -> int:
    """Freezes a layer if all its weights are in `parts`, else its children; counts parameters."""
    own = {part_of(name_from_keras_path(variable.path)) for variable in layer.weights}
    if not own & parts:
        return 0
    if own <= parts:
        layer.trainable = False
        return layer.count_params()
    # A classifier's head is inside the layer that is its backbone.
    inner = layer._flatten_layers(include_self=False, recursive=False)
    return sum(_freeze(child, parts) for child in inner)
