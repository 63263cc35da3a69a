"""What a run carries from step to step: weights, averages, optimizer, seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.averaging import WeightAverages
from efficientvision.training.checkpoints import Checkpoint
from efficientvision.training.distribution import average_statistics
from efficientvision.training.optimizers import FlatOptimizer


class TrainingState:
    """Network, optimizer and averages of a run. Create it under the strategy's scope.

    Args:
        model: A built Keras model.
        optimizer: An optimizer that is not built yet.
        strategy: The run's distribution strategy.
        moving_average_decay: Largest decay of the weight averages, 0 for none.
        freeze_pattern: Regular expression; variables whose path it matches (`re.match`) are not
            trained.
        seed: Seed of the layers' randomness (drop-connect).

    Raises:
        UserError: If the pattern is ill-formed, or leaves nothing to train.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        *,
        moving_average_decay: float = 0.0,
        freeze_pattern: str | None = None,
        seed: int = 0,
    ):
        self.model = model
        self.strategy = strategy
        self.seed = seed
        self.trainables = trainable_variables(model, freeze_pattern)
        self.optimizer = FlatOptimizer(optimizer, self.trainables)
        self.trainables = self.optimizer.variables
        self.averages = WeightAverages(model.weights, moving_average_decay)
        trained = {id(v) for v in model.trainable_weights}
        self.statistics = [v for v in model.weights if id(v) not in trained]
        weights = {id(v) for v in model.weights}
        self._seed_states = [v for v in model.variables if id(v) not in weights]

    @property
    def step(self) -> int:
        """Training steps done."""
        return int(self.optimizer.iterations.numpy())

    def seed_layers(self) -> None:
        """Sets the layers' random state as a function of seed, step, replica and layer.

        Called in replica context at the beginning of each step: a run that goes on from a
        checkpoint then draws what it would have drawn without the break.
        """
        if not self._seed_states:
            return
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # Two numbers are all that a stateless operation takes as its seed.
        first = int(np.random.SeedSequence(self.seed).generate_state(1, np.uint32)[0])
        step = tf.cast(self.optimizer.iterations, tf.int64)
        key = tf.stack([first + tf.cast(replica, tf.int64), step])
        drawn = tf.random.stateless_uniform(
            [len(self._seed_states), 2], key, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        for state, value in zip(self._seed_states, tf.unstack(drawn), strict=True):
            state.assign(tf.cast(value, state.dtype))

    def synchronize(self) -> None:
        """Makes the replicas' moving statistics and averages one (before saving, evaluating)."""
        average_statistics(self.strategy, self.statistics)
        average_statistics(self.strategy, self.averages.variables)

    def snapshot(self, **meta) -> Checkpoint:
        """The state as a checkpoint; `meta` is stored with it (JSON values)."""
        self.synchronize()
        return Checkpoint(
            weights={v.path: v.numpy() for v in self.model.weights},
            ema=self.averages.numpy(),
            optimizer=self.optimizer.numpy(),
            step=self.step,
            meta={"seed": self.seed, **meta},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint of the same run.

        Raises:
            UserError: If the checkpoint is of another network or another optimizer.
        """
        source = f"The checkpoint of step {checkpoint.step} in this run's folder"
        assign_by_path(self.model.weights, checkpoint.weights, "weights", source)
        self.optimizer.load(checkpoint.optimizer)
        self.averages.load(checkpoint.ema)


def trainable_variables(model: keras.Model, freeze_pattern: str | None) -> list:
    """The variables to train: all trainable ones but those whose path the pattern matches."""
    if not freeze_pattern:
        return list(model.trainable_variables)
    try:
        pattern = re.compile(freeze_pattern)
    except re.error as error:
        raise UserError(
            f"var_freeze_expr={freeze_pattern!r} is not a regular expression: {error}."
        ) from error
    kept = [v for v in model.trainable_variables if not pattern.match(v.path)]
    if not kept:
        raise UserError(f"var_freeze_expr={freeze_pattern!r} leaves no variable to train.")
    if len(kept) == len(model.trainable_variables):
        print(f"Warning: var_freeze_expr={freeze_pattern!r} matches no variable; all are trained.")
    return kept


def assign_by_path(variables, values: Mapping[str, np.ndarray], what: str, source) -> None:
    """Assigns values to variables by path; every one must be there with its shape.

    Args:
        variables: Keras variables.
        values: Path -> value.
        what: What these are, for the error.
        source: Where they come from, for the error.

    Raises:
        UserError: If a value is missing or has another shape; nothing is assigned then.
    """
    for variable in variables:
        value = values.get(variable.path)
        if value is None or tuple(value.shape) != tuple(variable.shape):
            got = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise UserError(
                f"{source} holds {got} for {variable.path} ({what}), where this network has shape "
                f"{tuple(variable.shape)}: it is of another model or configuration; choose "
                "another --model_dir, or give it as --ckpt."
            )
    for variable in variables:
        variable.assign(values[variable.path])
