"""Layer-wise decay of the learning rate over a pretrained backbone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from efficientvision.backbones.efficientnet import block_specs
from efficientvision.weights.names import BACKBONE, name_from_keras_path, part_of

_EFFICIENTNET_BLOCK = re.compile(r"(efficientnet-[\w-]+)/blocks_(\d+)/")
_EDGE_LEVEL = re.compile(r"(?:^|\.)level(\d)")


def with_layer_decay(
    factor: Callable[[str], float] | None, decay: float, paths: Iterable[str]
) -> Callable[[str], float] | None:
    """Adds layer-wise decay to a function of learning-rate factors.

    The early stages of a pretrained backbone have general features and need the smallest changes.
    The last stage has a factor of `decay`, the one below it `decay ** 2`, and so on to the stem;
    everything else (fusion, decoder, heads) keeps its rate. Stages are those of the architecture,
    seven and the stem in an EfficientNet, five levels in an EdgeNet, so that a value means the
    same at every depth of a family. AdamW's weight decay, which is relative to the learning rate,
    is multiplied by the same factor.

    Source: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, section 3.2; as powers of one
    number: Clark et al. 2020, https://arxiv.org/abs/2003.10555, and Bao et al. 2021,
    https://arxiv.org/abs/2106.08254.

    Args:
        factor: Variable path -> factor on the learning rate; None means 1.
        decay: 0..1; 1 disables the decay.
        paths: Paths of all variables of the network.

    Returns:
        Variable path -> product of both factors.
    """
    if decay == 1.0:
        return factor
    last = max((stage for path in paths if (stage := _stage(path)) is not None), default=0)

    def decayed(path: str) -> float:
        stage, own = _stage(path), factor(path) if factor else 1.0
        return own if stage is None else own * decay ** (last + 1 - stage)

    return decayed


def _stage(path: str) -> int | None:
    """The stage of the backbone a variable belongs to, the stem first; None outside it."""
    name = name_from_keras_path(path)
    if part_of(name) != BACKBONE:
        return None
    if level := _EDGE_LEVEL.search(name):
        return int(level[1])
    block = _EFFICIENTNET_BLOCK.search(name)
    if block is None:
        return 0
    # Each stage has a number of filters of its own.
    return len({spec.out_filters for spec in block_specs(block[1])[: int(block[2]) + 1]})
