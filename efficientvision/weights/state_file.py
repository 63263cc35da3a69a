"""A file that holds a state dict, whatever its container."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from efficientvision.weights.torch_state import AVERAGE, StateDict
from efficientvision.weights.torch_tensors import StoredTensor


@dataclass(frozen=True)
class StateFile(abc.ABC):
    """A state dict in a file.

    Attributes:
        path: The file.
        content: Its weights.
    """

    path: str
    content: StateDict

    @property
    def tensors(self) -> dict[str, StoredTensor]:
        """Name, without the prefixes that trainers add -> description of the tensor."""
        return self.content.tensors

    @property
    def averages(self) -> dict[str, StoredTensor]:
        """Name -> description of the moving average, if the file has moving averages."""
        return self.content.averages

    def read(self, names: Sequence[str]) -> list[np.ndarray]:
        """Reads tensors by name, in PyTorch's layout; bfloat16 becomes float32.

        Args:
            names: Keys of `tensors`; or, for moving averages, `AVERAGE` + a key of `averages`.

        Raises:
            UserError: The file is damaged or cut short.
        """
        arrays = []
        with self._opened() as values:
            for name in names:
                average = self.averages.get(name.removeprefix(AVERAGE))
                tensor = average if average and name.startswith(AVERAGE) else self.tensors[name]
                array = values(tensor)
                mask = self.content.masks.get(name)
                arrays.append(array if mask is None else array * values(mask))
        return arrays

    @abc.abstractmethod
    def _opened(self) -> AbstractContextManager[Callable[[StoredTensor], np.ndarray]]:
        """Opens the file; yields a function that reads the values of a tensor."""
