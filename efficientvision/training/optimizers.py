"""Optimizers of the training loop: SGD with momentum, Adam, AdamW."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.flat_variables import FlatVariables, counter
from efficientvision.training.gradients import is_regularized

OPTIMIZERS = ("sgd", "adam", "adamw")
_ITERATIONS = "iterations"
_UPDATES = "updates"
_UPDATES_HELD = "updates_held"

# A number, or a function of the step.
LearningRate: TypeAlias = float | Callable[[tf.Tensor], tf.Tensor]


class UpdateRule(Protocol):
    """The update rule of an optimizer, on a vector of weights.

    Attributes:
        slots: Names of the vectors that the rule keeps for the weights.
        weight_decay: Decoupled weight decay, relative to the learning rate.
    """

    slots: ClassVar[tuple[str, ...]]

    @property
    def weight_decay(self) -> float: ...

    def update(
        self,
        weights: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        updates: tf.Tensor,
    ) -> None:
        """Applies one update.

        Args:
            weights: float32 [size], changed in place.
            slots: The rule's vectors for these weights, changed in place.
            gradient: float32 [size].
            learning_rate: float32 scalar.
            updates: float32 scalar, number of updates including this one.
        """


@dataclass(frozen=True)
class Sgd:
    """m = momentum * m - rate * g; w = w + m."""

    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    momentum: float = 0.9
    weight_decay: float = 0.0

    def update(
        self,
        weights: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        updates: tf.Tensor,
    ) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weights.handle,
            accum=slots[0].handle,
            lr=learning_rate,
            grad=gradient,
            momentum=self.momentum,
        )


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, end of section 2).

    With a `weight_decay` it is AdamW (https://arxiv.org/abs/1711.05101).
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum", "velocity")
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float = 0.0

    def update(
        self,
        weights: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        updates: tf.Tensor,
    ) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=weights.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=tf.pow(self.beta_1, updates),
            beta2_power=tf.pow(self.beta_2, updates),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def build_optimizer(
    name: str,
    *,
    momentum: float = 0.9,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
) -> UpdateRule:
    """Builds an optimizer by name.

    TensorFlow's fused operations do the arithmetic (the same as Keras' optimizers, in one pass over
    memory instead of ten). Clipping and averaging are separate: see `gradients.clip_gradients` and
    `averaging.WeightAverages`.

    Args:
        name: "sgd" (momentum), "adam" or "adamw".
        momentum: Momentum of "sgd".
        beta_1: First-moment decay of "adam" and "adamw".
        beta_2: Second-moment decay of "adam" and "adamw".
        epsilon: Constant in the denominator of "adam" and "adamw".
        weight_decay: Decoupled weight decay of "adamw"; the other two use the L2 penalty in the
            loss instead.

    Raises:
        UserError: The name is unknown.
    """
    if name == "sgd":
        return Sgd(momentum)
    if name == "adam":
        return Adam(beta_1, beta_2, epsilon)
    if name == "adamw":
        return Adam(beta_1, beta_2, epsilon, weight_decay)
    raise UserError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}.")


def uses_l2_loss(name: str) -> bool:
    """Whether the L2 penalty belongs in the loss (AdamW decays the weights itself)."""
    return name != "adamw"


class FlatOptimizer:
    """Applies an update rule to weights that are stored as vectors (kernels, and other weights).

    Every rule here works element by element, so the results are the same as with the separate
    variables. Create it under the strategy's scope; every replica applies the same update to its
    own copy, so that nothing has to be merged.

    Args:
        rule: From `build_optimizer`.
        learning_rate: Number, or function of the step.
        variables: Keras variables to train.
        decay_all: Apply weight decay to all weights, not only to kernels.
        rate_factor: Maps a variable's path to a factor on its learning rate; None means 1. Each
            factor gets two groups. It multiplies decoupled weight decay too.
        held: Those of the variables that are frozen at first; they get groups of their own.

    Attributes:
        groups: The trained variables by factor, kernels first; those that are held come last.
        num_free: Number of groups that are not held.
        decayed: For each group, whether weight decay applies to it.
    """

    def __init__(
        self,
        rule: UpdateRule,
        learning_rate: LearningRate,
        variables: Sequence,
        *,
        decay_all: bool = False,
        rate_factor: Callable[[str], float] | None = None,
        held: Collection = (),
    ):
        self._rule = rule
        self._rate = learning_rate
        groups: dict[tuple[bool, float, bool], list] = {}
        held_ids = set(map(id, held))
        for variable in variables:
            factor = rate_factor(variable.path) if rate_factor else 1.0
            kind = (id(variable) in held_ids, factor, is_regularized(variable.path))
            groups.setdefault(kind, []).append(variable)
        # For each factor, kernels first.
        kinds = sorted(groups, key=lambda kind: (*kind[:2], not kind[2]))
        self.groups = [
            FlatVariables(groups[kind], "kernels" if kind[2] else "other_weights") for kind in kinds
        ]
        self.num_free = sum(not is_held for is_held, _, _ in kinds)
        self.decayed = [decay_all or is_kernels for _, _, is_kernels in kinds]
        self._factors = [factor for _, factor, _ in kinds]
        self._slots = [[group.new_vector(name) for name in rule.slots] for group in self.groups]
        self.iterations = counter(_ITERATIONS)
        self.updates = counter(_UPDATES)
        # Adam corrects its moments for their number of updates, of which held groups had fewer.
        self._updates_held = counter(_UPDATES_HELD)

    def active_groups(self, held: bool) -> list[FlatVariables]:
        """The groups to train while parts are held, or afterwards: all."""
        return self.groups[: self.num_free] if held else self.groups

    @property
    def learning_rate(self) -> tf.Tensor:
        """Learning rate of the next step, float32 scalar."""
        rate = self._rate(self.iterations) if callable(self._rate) else self._rate
        return tf.cast(rate, tf.float32)

    def apply(self, gradients: Sequence[tf.Tensor], held: bool = False) -> None:
        """Updates the groups' vectors; call it in replica context.

        Args:
            gradients: Gradient of each of `active_groups(held)`, float32 [size], the same on every
                replica.
            held: Whether parts are held.
        """
        rate = self.learning_rate
        self.updates.assign_add(1)
        if held:
            self._updates_held.assign_add(1)
        updates = tf.cast(self.updates, tf.float32)
        own_updates = tf.cast(self.updates - self._updates_held, tf.float32)
        for index, (group, gradient) in enumerate(
            zip(self.active_groups(held), gradients, strict=True)
        ):
            weights, factor = group.vector, self._factors[index]
            own_rate = rate if factor == 1.0 else rate * factor
            if self._rule.weight_decay and self.decayed[index]:
                weights.assign_sub(weights * (self._rule.weight_decay * own_rate))
            counted = updates if index < self.num_free else own_updates
            self._rule.update(weights, self._slots[index], gradient, own_rate, counted)

    def numpy(self) -> dict[str, np.ndarray]:
        """Counters and slots: `iterations`, `updates`, `<slot>/<variable path>`.

        With held parts also `updates_held`, the number of updates while they were held.
        """
        values = {_ITERATIONS: self.iterations.numpy(), _UPDATES: self.updates.numpy()}
        if self.num_free < len(self.groups):
            values[_UPDATES_HELD] = self._updates_held.numpy()
        for slot, name, group in self._named_slots():
            for path, value in group.to_dict(slot.numpy()).items():
                values[f"{name}/{path}"] = value
        return values

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Restores the values of `numpy`.

        Raises:
            UserError: They are the slots of another optimizer or of other variables.
        """
        for _, name, group in self._named_slots():
            for path in group.paths:
                if f"{name}/{path}" not in values:
                    raise UserError(
                        f"Cannot resume: the checkpoint has no optimizer state {name!r} for "
                        f"{path}. It was trained with another optimizer, freeze or "
                        "var_freeze_expr; choose another `model_dir`, or pass the checkpoint as "
                        "`ckpt`."
                    )
        for slot, name, group in self._named_slots():
            slot.assign(group.from_dict({p: values[f"{name}/{p}"] for p in group.paths}))
        self.iterations.assign(values[_ITERATIONS])
        # Old checkpoints have no count of updates: no step could be skipped then.
        self.updates.assign(values.get(_UPDATES, values[_ITERATIONS]))
        self._updates_held.assign(values.get(_UPDATES_HELD, 0))

    def _named_slots(self):
        """Yields (slot, its name such as "momentum", group) for every slot."""
        for group, slots in zip(self.groups, self._slots, strict=True):
            for slot, name in zip(slots, self._rule.slots, strict=True):
                yield slot, name, group
