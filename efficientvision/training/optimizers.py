"""Optimizers of the training loop: SGD with momentum, Adam, AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.flat_variables import FlatVariables
from efficientvision.training.gradients import is_regularized

OPTIMIZERS = ("sgd", "adam", "adamw")
_ITERATIONS = "iterations"


def build_optimizer(
    name: str,
    learning_rate,
    *,
    momentum: float = 0.9,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Builds an optimizer by name.

    Clipping and averaging are not the optimizer's: Keras clips on each replica before the
    gradients are summed, see `gradients.clip_gradients` and `averaging.WeightAverages`.

    Args:
        name: "sgd" (momentum), "adam" or "adamw".
        learning_rate: Number or schedule.
        momentum: Momentum of "sgd".
        beta_1: First-moment decay of "adam" and "adamw".
        beta_2: Second-moment decay of "adam" and "adamw".
        epsilon: Denominator's constant of "adam" and "adamw".
        weight_decay: Decoupled decay of "adamw" (kernels only). The other two leave it to the L2
            penalty in the loss.

    Returns:
        The optimizer, not built.

    Raises:
        UserError: If the name is unknown.
    """
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=momentum)
    moments = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, **moments)
    if name == "adamw":
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **moments)
    raise UserError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}.")


def uses_l2_loss(name: str) -> bool:
    """Whether the L2 penalty belongs in the loss (AdamW decays the weights itself)."""
    return name != "adamw"


class FlatOptimizer:
    """A Keras optimizer that sees a network's variables as two vectors.

    Kernels are one, all the rest the other, so that a decoupled weight decay can be limited to
    kernels. Every rule of these optimizers works element by element: the numbers are the same as
    with the variables themselves. Create it under the strategy's scope.

    Args:
        optimizer: Not built yet.
        variables: Keras variables to train.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: Sequence):
        self.optimizer = optimizer
        kernels = [v for v in variables if is_regularized(v.path)]
        rest = [v for v in variables if not is_regularized(v.path)]
        named = {"kernels": kernels, "other_weights": rest}
        self._groups = [FlatVariables(group) for group in named.values() if group]
        self._vectors = [
            keras.Variable(group.from_dict({}), name=name)
            for group, name in zip(self._groups, (n for n, g in named.items() if g), strict=True)
        ]
        self.variables = [v for group in self._groups for v in group.variables]
        if isinstance(optimizer, keras.optimizers.AdamW) and rest:
            optimizer.exclude_from_weight_decay(var_list=[self._vectors[-1]])
        optimizer.build(self._vectors)
        self._slots = [
            v for v in optimizer.variables if v is not optimizer.iterations and v.shape.rank == 1
        ]

    @property
    def iterations(self) -> tf.Tensor:
        """Steps done, int64 scalar."""
        return self.optimizer.iterations.value

    @property
    def learning_rate(self) -> tf.Tensor:
        """The rate of the next step, float32 scalar."""
        return tf.cast(self.optimizer.learning_rate, tf.float32)

    def apply(self, gradients: Sequence[tf.Tensor], replicas: int) -> None:
        """One step, in replica context.

        Args:
            gradients: Of `variables`, in their order, the same on every replica.
            replicas: How many replicas there are.
        """
        gradients = list(gradients)
        vectors = []
        for group, vector in zip(self._groups, self._vectors, strict=True):
            count = len(group.variables)
            # `apply` sums over the replicas, which the gradients have been already.
            vectors.append(group.join(gradients[:count]) / replicas)
            del gradients[:count]
            vector.assign(group.read())
        self.optimizer.apply(vectors, self._vectors)
        for group, vector in zip(self._groups, self._vectors, strict=True):
            group.write(tf.convert_to_tensor(vector.value))

    def numpy(self) -> dict[str, np.ndarray]:
        """Step count and slots: `iterations`, `<slot>/<variable path>`."""
        values = {_ITERATIONS: self.optimizer.iterations.numpy()}
        for slot, name, group in self._named_slots():
            for path, value in group.to_dict(slot.numpy()).items():
                values[f"{name}/{path}"] = value
        return values

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets what `numpy` gave.

        Raises:
            UserError: If these are the slots of another optimizer or of other variables.
        """
        for _, name, group in self._named_slots():
            for path in group.paths:
                if f"{name}/{path}" not in values:
                    raise UserError(
                        f"The run to go on from has no optimizer slot {name} for {path}: it was "
                        "trained with another optimizer or var_freeze_expr; choose another "
                        "--model_dir, or give its checkpoint as --ckpt."
                    )
        for slot, name, group in self._named_slots():
            slot.assign(group.from_dict({p: values[f"{name}/{p}"] for p in group.paths}))
        self.optimizer.iterations.assign(values[_ITERATIONS])

    def _named_slots(self):
        """(slot, its name such as "momentum", group) for every slot."""
        for group, vector in zip(self._groups, self._vectors, strict=True):
            for slot in self._slots:
                prefix = f"{vector.path}_".replace("/", "_")
                if slot.name.startswith(prefix):
                    yield slot, slot.name.removeprefix(prefix), group
