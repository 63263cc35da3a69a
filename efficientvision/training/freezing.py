"""Freezes parts of a network, for the whole run or its beginning, or batch norms."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator

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
    layers = layers_of(model, parts)
    for layer in layers:
        layer.trainable = False
    frozen = sum(layer.count_params() for layer in layers)
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
    norms = _norms_in(model.layers)
    for layer in norms:
        layer.trainable = False
    log.info(f"Frozen: {len(norms)} batch norms, statistics, scales and offsets.")


def set_backbone_norms(model: keras.Model, mode: str) -> None:
    """Sets how the batch norms of a pretrained backbone are trained.

    Args:
        model: Any network with a backbone.
        mode: Hyper-parameter `backbone_bn`. "follow": statistics follow the batches, scales and
            offsets are trained. "freeze_statistics": the loaded statistics normalise in training
            too, and do not change; scales and offsets are trained. "freeze": neither changes.

    Small batches have noisy statistics, and those of a pretrained backbone come from far more
    images. Frozen batch norms are usual in detection: He et al. 2016,
    https://arxiv.org/abs/1512.03385, appendix A.
    """
    if mode == "follow":
        return
    norms = _norms_in(layers_of(model, ("backbone",)))
    for norm in norms:
        if mode == "freeze":
            norm.trainable = False
        norm.frozen = True
    frozen = "statistics" if mode == "freeze_statistics" else "statistics, scales and offsets"
    log.info(f"Frozen: {len(norms)} batch norms of the backbone, {frozen}.")


class HeldParts:
    """Parts of a network that are frozen in the first steps of a run and train afterwards.

    Their weights keep their values until then because they get no gradients; here are their batch
    norms, which must not update their statistics either.

    Args:
        model: The network.
        parts: See `freeze_parts`; may be empty.
        trained: Variables that are trained in the end; None: all trainable ones.

    Attributes:
        variables: The trainable variables of these parts.

    Raises:
        UserError: Nothing is left to train in the meantime.
    """

    def __init__(
        self,
        model: keras.Model,
        parts: Collection[str],
        trained: Collection[keras.Variable] | None = None,
    ):
        layers = layers_of(model, parts)
        self.variables = [v for layer in layers for v in layer.trainable_variables]
        self._norms = [norm for norm in _norms_in(layers) if norm.trainable and not norm.frozen]
        held = set(map(id, self.variables))
        trained = model.trainable_variables if trained is None else trained
        if parts and held.issuperset(map(id, trained)):
            raise UserError(f"freeze={'+'.join(parts)} leaves nothing to train at first.")

    @contextlib.contextmanager
    def in_inference(self, held: bool) -> Iterator[None]:
        """Context for calls of the network: if `held`, the batch norms keep their statistics."""
        norms = self._norms if held else []
        for norm in norms:
            norm.frozen = True
        try:
            yield
        finally:
            for norm in norms:
                norm.frozen = False


def layers_of(model: keras.Model, parts: Collection[str]) -> list[keras.Layer]:
    """Returns the outermost layers all of whose weights are in `parts`."""
    return [found for layer in model.layers for found in _within(layer, set(parts))]


def _within(layer: keras.Layer, parts: set[str]) -> list[keras.Layer]:
    own = {part_of(name_from_keras_path(variable.path)) for variable in layer.weights}
    if not own & parts:
        return []
    if own <= parts:
        return [layer]
    # A classifier's head is inside the layer that is its backbone.
    inner = layer._flatten_layers(include_self=False, recursive=False)
    return [found for child in inner for found in _within(child, parts)]


def _norms_in(layers: Iterable[keras.Layer]) -> list[BatchNorm]:
    inner = (child for layer in layers for child in layer._flatten_layers())
    return [layer for layer in inner if isinstance(layer, BatchNorm)]
