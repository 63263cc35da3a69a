"""Opens PyTorch files (`.pth`) under published names, in our weight layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficientvision.files import AnyPath
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.edgenet_names import STEP_COUNTER
from efficientvision.weights.foreign import recognise
from efficientvision.weights.foreign_network import axes, our_shapes
from efficientvision.weights.strangers import refusals_name
from efficientvision.weights.torch_file import open_torch_file
from efficientvision.weights.torch_state import AVERAGE


def open_torch(path: AnyPath) -> CheckpointReader:
    """Opens a PyTorch state dict of EdgeNets or of another package that has our networks.

    Raises:
        UserError: See `open_torch_file`; or the network is none of ours.
    """
    file = open_torch_file(path)
    counters = tuple(n for n in file.tensors if n.rpartition(".")[2] == STEP_COUNTER)
    shapes = {n: t.shape for n, t in file.tensors.items() if n not in set(counters)}
    with refusals_name(file.path):
        foreign = recognise(file.path, shapes)
    names = {foreign.names.get(name, name): name for name in shapes}

    def fetch(keys: Sequence[str]) -> list[np.ndarray]:
        arrays = zip(keys, file.read(keys), strict=True)
        return [np.transpose(a, axes(published[key], a.ndim)) for key, a in arrays]

    averages = {ours: AVERAGE + name for ours, name in names.items() if name in file.averages}
    published = {key: ours for own in (names, averages) for ours, key in own.items()}
    return CheckpointReader(
        path=file.path,
        kind="torch",
        shapes=our_shapes(shapes, foreign.names),
        keys=names,
        ema_keys=averages,
        auxiliary=counters,
        notes=(*file.content.notes, *foreign.notes),
        preprocessing=foreign.preprocessing,
        fetch=fetch,
    )
