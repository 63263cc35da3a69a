"""Opens state dicts (`.pth`, `.safetensors`) under published names, in our weight layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficientvision.files import AnyPath
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.edgenet_names import STEP_COUNTER
from efficientvision.weights.foreign import recognise
from efficientvision.weights.foreign_network import Foreign, Made, Shapes, axes
from efficientvision.weights.safetensors_file import open_safetensors
from efficientvision.weights.state_file import StateFile
from efficientvision.weights.strangers import Refused, refusals_name
from efficientvision.weights.torch_file import open_torch_file
from efficientvision.weights.torch_state import AVERAGE
from efficientvision.weights.variables_file import are_variables, open_variables


def open_torch(path: AnyPath) -> CheckpointReader:
    """Opens a PyTorch file that holds a network of ours.

    Raises:
        UserError: See `open_torch_file`; or the network is not supported.
    """
    return _reader("torch", open_torch_file(path))


def open_safetensors_checkpoint(path: AnyPath) -> CheckpointReader:
    """Opens a safetensors file that holds a network of ours.

    Raises:
        UserError: See `open_safetensors`; or the network is not supported.
    """
    file = open_safetensors(path)
    return open_variables(file) if are_variables(file.tensors) else _reader("safetensors", file)


def _reader(kind: str, file: StateFile) -> CheckpointReader:
    """The variables of EdgeNets, or of another package that has our networks."""
    counters = tuple(n for n in file.tensors if n.rpartition(".")[2] == STEP_COUNTER)
    shapes = {n: t.shape for n, t in file.tensors.items() if n not in set(counters)}
    with refusals_name(file.path):
        foreign = recognise(file.path, shapes)
        variables = _variables(foreign, shapes)

    def fetch(keys: Sequence[str]) -> list[np.ndarray]:
        wanted, counts = [], []
        for key in keys:
            sources = variables[key.removeprefix(AVERAGE)].sources
            counts.append(len(sources))
            is_average = key.startswith(AVERAGE)
            wanted += [AVERAGE + n if is_average and n in file.averages else n for n in sources]
        values = iter(file.read(wanted))
        return [
            variables[key.removeprefix(AVERAGE)].make([next(values) for _ in range(count)])
            for key, count in zip(keys, counts, strict=True)
        ]

    return CheckpointReader(
        path=file.path,
        kind=kind,
        shapes={name: variable.shape for name, variable in variables.items()},
        keys={name: name for name in variables},
        ema_keys={
            name: AVERAGE + name
            for name, variable in variables.items()
            if any(source in file.averages for source in variable.sources)
        },
        auxiliary=(*counters, *foreign.not_needed),
        notes=(*file.content.notes, *foreign.notes),
        preprocessing=foreign.preprocessing,
        model=foreign.model,
        settings=foreign.settings,
        fetch=fetch,
    )


def _variables(foreign: Foreign, shapes: Shapes) -> dict[str, Made]:
    """Published name -> how the variable is made from the file's tensors.

    Raises:
        Refused: Two tensors have the same published name.
    """
    variables: dict[str, Made] = {}
    elsewhere = {source for made in foreign.made.values() for source in made.sources}
    elsewhere |= set(foreign.not_needed)
    for name, shape in shapes.items():
        ours = foreign.names.get(name)
        if ours in foreign.made or (ours is None and name in elsewhere):
            continue
        ours = ours or name
        if ours in variables:
            raise Refused(f"holds two tensors for {ours}, the second is {name[:100]}")
        variables[ours] = _transposed(name, shape, axes(ours, len(shape)))
    return {**variables, **foreign.made}


def _transposed(name: str, shape: tuple[int, ...], order: tuple[int, ...]) -> Made:
    return Made(
        tuple(shape[axis] for axis in order),
        (name,),
        lambda values: np.transpose(values[0], order),
    )
