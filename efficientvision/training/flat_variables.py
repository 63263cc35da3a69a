"""Many variables seen as one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf


class FlatVariables:
    """A list of variables, read and written as one vector.

    A detector has hundreds of small variables. What is done to all of them alike (all-reduce,
    optimizer, averages) is done to one vector instead: tens of thousands of graph nodes fewer to
    trace, optimise and run, and one collective instead of hundreds.

    Args:
        variables: Keras variables, all float.
    """

    def __init__(self, variables: Sequence):
        self.variables = list(variables)
        self.paths = [v.path for v in self.variables]
        self._shapes = [tuple(v.shape) for v in self.variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self._sizes)

    def read(self) -> tf.Tensor:
        """The variables' values, float32 [size]."""
        return self.join([v.value for v in self.variables])

    def write(self, vector: tf.Tensor) -> None:
        """Assigns the parts of a vector [size] to the variables."""
        parts = tf.split(vector, self._sizes)
        for variable, part, shape in zip(self.variables, parts, self._shapes, strict=True):
            variable.value.assign(tf.reshape(part, shape))

    def join(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """One vector of tensors that are shaped like the variables."""
        return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], axis=0)

    def to_dict(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector by variable path."""
        parts = np.split(vector, np.cumsum(self._sizes)[:-1])
        return {
            path: part.reshape(shape)
            for path, part, shape in zip(self.paths, parts, self._shapes, strict=True)
        }

    def from_dict(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The vector of values by path; the variable's own value where one is missing."""
        missing = {v.path: v for v in self.variables if v.path not in values}
        arrays = [missing[p].numpy() if p in missing else values[p] for p in self.paths]
        return np.concatenate([np.asarray(a, np.float32).reshape(-1) for a in arrays])
