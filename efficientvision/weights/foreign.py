"""Tells which package wrote a PyTorch file, and renames its tensors to the published names."""

from __future__ import annotations

from collections.abc import Callable

from efficientvision.weights import effdet_names, lukemelas_names, timm_names
from efficientvision.weights.foreign_network import Foreign, Shapes

# Each takes the file's path, for hints, and PyTorch's names and shapes. It returns None for a file
# of another family, and raises Refused for a network of its family that is not supported.
_RECOGNISERS: tuple[Callable[[str, Shapes], Foreign | None], ...] = (
    effdet_names.recognise,
    timm_names.recognise,
    lukemelas_names.recognise,
)


def recognise(path: str, shapes: Shapes) -> Foreign:
    """Finds out which package's network a PyTorch file holds.

    Args:
        path: The file.
        shapes: Name of a tensor -> shape in PyTorch's layout.

    Returns:
        The network; without new names if the file has the published ones (EdgeNets), or those of
        no known package.

    Raises:
        Refused: The file is of a known package, and its network is not supported.
    """
    found = (recogniser(path, shapes) for recogniser in _RECOGNISERS)
    return next((foreign for foreign in found if foreign is not None), Foreign({}))
