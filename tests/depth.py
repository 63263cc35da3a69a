"""How deep the networks are that tests build: shallow, but where a test is of a published network.

What a command, an export or a training does with a network does not hang on how often its units
repeat, and a network's graph costs by the unit: to build, to trace, to save, to convert.
"""

import functools
from collections.abc import Callable

from efficientvision.backbones import efficientnet, espnetv2, shufflenetv2

# (The numbers, their published value); DiCENet has ShuffleNetv2's.
_REPEATS = tuple((table, dict(table)) for table in (espnetv2._REPEATS, shufflenetv2.REPEATS))
_STAGES = efficientnet._STAGES


def set_depth(published: bool) -> None:
    """Makes networks that are built from here on as deep as published, or one unit a stage."""
    for table, repeats in _REPEATS:
        table.update(repeats if published else dict.fromkeys(repeats, 1))
    efficientnet._STAGES = _STAGES if published else tuple((1, *stage[1:]) for stage in _STAGES)


def cached_by_depth(build: Callable) -> Callable:
    """`functools.cache` of a function that builds a network: one for each depth."""

    @functools.cache
    def built(published: bool, args: tuple, kwargs: tuple):
        return build(*args, **dict(kwargs))

    @functools.wraps(build)
    def call(*args, **kwargs):
        published = efficientnet._STAGES is _STAGES
        return built(published, args, tuple(sorted(kwargs.items())))

    return call
