"""A network of another package in our names and our layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from efficientvision.weights.preprocessing import Preprocessing

Shapes = Mapping[str, tuple[int, ...]]

_MATRIX, _CONVOLUTION, _DEPTHWISE = (1, 0), (2, 3, 1, 0), (2, 3, 0, 1)


@dataclass(frozen=True)
class Made:
    """A variable that the file stores in another form than a transposed tensor.

    Attributes:
        shape: Shape of the variable.
        sources: Names in the file that it is made from; none for a constant.
        make: Values of `sources`, in PyTorch's layout -> value of the variable.
    """

    shape: tuple[int, ...]
    sources: tuple[str, ...]
    make: Callable[[Sequence[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Foreign:
    """A network of another package under the published names.

    Attributes:
        names: Name in the file -> published name. The others are of no use to our networks.
        preprocessing: What the network was trained with.
        notes: Sentences for the user, without a full stop.
        made: Published name -> how the variable is made, for those that are in no tensor as they
            are. It takes the place of a tensor of the same published name.
        model: Model of the registry, where names and shapes do not tell it.
        not_needed: Names in the file of constants and counters.
        settings: Hyper-parameters of the package's network that names and shapes do not tell.
    """

    names: Mapping[str, str]
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()
    made: Mapping[str, Made] = field(default_factory=dict)
    not_needed: tuple[str, ...] = ()
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def axes(name: str, dimensions: int) -> tuple[int, ...]:
    """The order of a PyTorch tensor's axes in our layout.

    Args:
        name: Published name.
        dimensions: Number of the tensor's dimensions.
    """
    if dimensions == 4:
        return _DEPTHWISE if name.endswith("/depthwise_kernel") else _CONVOLUTION
    return _MATRIX if dimensions == 2 else tuple(range(dimensions))


def our_shapes(shapes: Shapes, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Shapes in our layout, by published names.

    Args:
        shapes: Name in the file -> shape in PyTorch's layout.
        names: Name in the file -> published name, or a part of it that ends alike; tensors
            without one keep their name.
    """
    renamed = {}
    for name, shape in shapes.items():
        ours = names.get(name, name)
        renamed[ours] = tuple(shape[axis] for axis in axes(ours, len(shape)))
    return renamed
