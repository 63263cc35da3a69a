"""Many variables as one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf


class FlatVariables:
    """A list of variables that is processed as one vector.

    A detector has hundreds of small variables. Operations that treat all of them alike (all-reduce,
    clipping, optimizer, averages, skipping a bad step) run on one vector instead: tens of thousands
    fewer graph nodes to trace, optimise and run, and one collective instead of hundreds.

    Between calls of the compiled step, the variables hold the values. A call starts with `gather`,
    works on `vector`, which the network reads through `bound`, and ends with `scatter`. Create it
    under the strategy's scope; each replica works on its own copy.

    Args:
        variables: Keras variables, all float.
        name: Name of the vector.
    """

    def __init__(self, variables: Sequence, name: str):
        self.variables = list(variables)
        self.paths = [v.path for v in self.variables]
        self._shapes = [tuple(v.shape) for v in self.variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self.vector = self.new_vector(name)

    @property
    def size(self) -> int:
        """Length of the vector; 1 if there are no variables.

        Workers broadcast every variable's initial value, and TensorFlow aborts the process when a
        value has no elements.
        """
        return max(sum(self._sizes), 1)

    def new_vector(self, name: str, initial: np.ndarray | None = None) -> tf.Variable:
        """A variable of the vector's length that each replica assigns independently.

        Args:
            name: Its name.
            initial: float32 [size]; zeros by default.
        """
        return tf.Variable(
            np.zeros(self.size, np.float32) if initial is None else initial,
            trainable=False,
            name=name,
            aggregation=tf.VariableAggregation.NONE,
        )

    def gather(self) -> None:
        """Fills the vector from the variables."""
        self.vector.assign(self.join([v.value for v in self.variables]))

    def scatter(self) -> None:
        """Fills the variables from the vector."""
        for variable, value in zip(self.variables, self.split(self.vector), strict=True):
            variable.value.assign(value)

    def bound(self, vector: tf.Tensor) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Pairs of variables and their values in `vector`, for `keras.StatelessScope`."""
        return list(zip(self.variables, self.split(vector), strict=True))

    def join(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Joins tensors shaped like the variables into float32 [size]; zeros if there are none."""
        if not tensors:
            return tf.zeros([self.size])
        return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], axis=0)

    def split(self, vector: tf.Tensor) -> list[tf.Tensor]:
        """Splits float32 [size] into tensors shaped like the variables."""
        if not self.variables:
            return []
        parts = tf.split(vector, self._sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def to_dict(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector by variable path."""
        parts = np.split(vector, np.cumsum(self._sizes))[:-1]
        return {
            path: part.reshape(shape)
            for path, part, shape in zip(self.paths, parts, self._shapes, strict=True)
        }

    def from_dict(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The vector of values by path; missing ones take the variable's current value."""
        missing = {v.path: v for v in self.variables if v.path not in values}
        arrays = [missing[p].numpy() if p in missing else values[p] for p in self.paths]
        if not arrays:
            return np.zeros(self.size, np.float32)
        return np.concatenate([np.ravel(a) for a in arrays], dtype=np.float32)


def counter(name: str) -> tf.Variable:
    """An integer counter; each replica updates its own copy in the same way."""
    return tf.Variable(
        0,
        dtype=tf.int64,
        trainable=False,
        name=name,
        aggregation=tf.VariableAggregation.NONE,
    )
