"""State of a training run: weights, averages, optimizer, seeds."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.averaging import WeightAverages
from efficientvision.training.checkpoints import Checkpoint
from efficientvision.training.distribution import average_statistics
from efficientvision.training.flat_variables import FlatVariables, counter
from efficientvision.training.freezing import HeldParts
from efficientvision.training.layer_decay import with_layer_decay
from efficientvision.training.loss_scale import LossScale
from efficientvision.training.optimizers import FlatOptimizer, LearningRate, UpdateRule

log = logging.getLogger(__name__)


class TrainingState:
    """Network, optimizer and averages of a run. Create it under the strategy's scope.

    Between calls of the compiled step, the network's variables hold its weights; during a call, the
    vectors of `FlatVariables` do (see there).

    Args:
        model: A built Keras model.
        optimizer: From `optimizers.build_optimizer`.
        strategy: The run's distribution strategy.
        learning_rate: Number, or function of the step.
        moving_average_decay: Largest decay of the weight averages, 0 to disable.
        freeze_pattern: Regular expression; variables whose path it matches (`re.match`) are not
            trained.
        seed: Seed of the layers' randomness (drop-connect).
        scale_loss: Scale the loss dynamically, as float16 requires.
        reports_skipped: Include the number of skipped steps in `counts`.
        decay_all: Apply weight decay to all weights, not only to kernels.
        rate_factor: Maps a variable's path to a factor on its learning rate; None means 1.
        layer_decay: See `layer_decay.with_layer_decay`.
        held_parts: Parts of the network that train only in steps with `held=False`, see
            `freezing.HeldParts`.

    Attributes:
        held: The parts that are frozen at first.
        skipped: Number of steps skipped because they were not finite.
        last_skipped: The latest of these steps, counted from 1; 0 if there is none.

    Raises:
        UserError: The pattern is malformed, or leaves nothing to train.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: UpdateRule,
        strategy: tf.distribute.Strategy,
        *,
        learning_rate: LearningRate,
        moving_average_decay: float = 0.0,
        freeze_pattern: str | None = None,
        seed: int = 0,
        scale_loss: bool = False,
        reports_skipped: bool = False,
        decay_all: bool = False,
        rate_factor: Callable[[str], float] | None = None,
        layer_decay: float = 1.0,
        held_parts: Collection[str] = (),
    ):
        self.model = model
        self.strategy = strategy
        self.seed = seed
        trained = trainable_variables(model, freeze_pattern)
        self.held = HeldParts(model, held_parts, trained)
        self.optimizer = FlatOptimizer(
            optimizer,
            learning_rate,
            trained,
            decay_all=decay_all,
            rate_factor=with_layer_decay(rate_factor, layer_decay, [v.path for v in model.weights]),
            held=self.held.variables,
        )
        self.statistics = FlatVariables(moving_statistics(model), "statistics")
        changing = {id(v) for v in (*trained, *self.statistics.variables)}
        constants = [v for v in model.weights if id(v) not in changing]
        self._constants = FlatVariables(constants, "constants")
        self.averages = WeightAverages(
            [*self.optimizer.groups, self.statistics, self._constants], moving_average_decay
        )
        self.loss_scale = LossScale(scale_loss)
        self.skipped, self.last_skipped = counter("skipped"), counter("last_skipped")
        self._reports_skipped = reports_skipped
        weights = {id(v) for v in model.weights}
        self._seed_states = [v for v in model.variables if id(v) not in weights]

    @property
    def step(self) -> int:
        """Number of completed training steps."""
        return int(self.optimizer.iterations.numpy())

    def counts(self) -> dict[str, float]:
        """Counts of skipped steps to report, by name; empty if steps cannot be skipped."""
        counts = {"skipped_steps": float(self.skipped.numpy())} if self._reports_skipped else {}
        if self.loss_scale.dynamic:
            not_applied = self.optimizer.iterations - self.optimizer.updates
            counts["overflow_steps"] = float((not_applied - self.skipped).numpy())
            counts["loss_scale"] = self.loss_scale.value
        return counts

    def gather(self) -> None:
        """Starts a call of the compiled step: fills the vectors from the network's variables."""
        for group in (*self.optimizer.groups, self.statistics, self._constants):
            group.gather()

    def scatter(self) -> None:
        """Ends it: fills the network's variables from the vectors."""
        for group in (*self.optimizer.groups, self.statistics):
            group.scatter()

    def bound(self, weights: Sequence[tf.Tensor], statistics: tf.Tensor) -> list[tuple]:
        """The variables' values in a forward pass, for `keras.StatelessScope`.

        Args:
            weights: Vector of each of the optimizer's groups, float32 [size].
            statistics: float32 [size].
        """
        pairs = self.statistics.bound(statistics)
        for group, vector in zip(self.optimizer.groups, weights, strict=True):
            pairs += group.bound(vector)
        return pairs

    def new_statistics(self, scope: keras.StatelessScope) -> tf.Tensor:
        """The moving statistics after a forward pass in `scope`, float32 [size]."""
        for variable in self._constants.variables:
            if scope.get_current_value(variable) is not None:
                raise ValueError(f"A layer assigns to {variable.path}, which is not trained.")
        values = [scope.get_current_value(v) for v in self.statistics.variables]
        return tf.stop_gradient(self.statistics.join(values))

    def leave_out(self, overflow: tf.Tensor) -> None:
        """Counts a step that was not applied; `overflow`: due to the loss scale (bool scalar)."""
        self.loss_scale.after_overflow(overflow)
        self.skipped.assign_add(tf.cast(~overflow, tf.int64))
        step = self.optimizer.iterations + 1
        self.last_skipped.assign(tf.where(overflow, self.last_skipped, step))

    def seed_layers(self, part: tf.Tensor | int = 0) -> None:
        """Sets the layers' random state as a function of seed, step, part, replica and layer.

        Called in replica context at the start of each step, so that a resumed run draws the same
        numbers as an uninterrupted one.

        Args:
            part: Index of the micro-batch.
        """
        if not self._seed_states:
            return
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # A stateless operation takes exactly two numbers as its seed.
        first = int(np.random.SeedSequence(self.seed).generate_state(1, np.uint32)[0])
        first += tf.cast(replica, tf.int64) + tf.cast(part, tf.int64) * 2**40
        key = tf.stack([first, tf.cast(self.optimizer.iterations, tf.int64)])
        drawn = tf.random.stateless_uniform(
            [len(self._seed_states), 2], key, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        for state, value in zip(self._seed_states, tf.unstack(drawn), strict=True):
            state.assign(tf.cast(value, state.dtype))

    def synchronize(self) -> None:
        """Averages moving statistics and weight averages over the replicas, before saving."""
        average_statistics(self.strategy, self.statistics.variables)
        average_statistics(self.strategy, self.averages.variables)

    def snapshot(self, **meta: Any) -> Checkpoint:
        """The state as a checkpoint; `meta` is stored with it (JSON values)."""
        self.synchronize()
        return Checkpoint(
            weights={v.path: v.numpy() for v in self.model.weights},
            ema=self.averages.numpy(),
            optimizer={**self.optimizer.numpy(), **self.loss_scale.numpy()},
            step=self.step,
            meta={
                "seed": self.seed,
                "skipped": int(self.skipped.numpy()),
                "last_skipped": int(self.last_skipped.numpy()),
                **meta,
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores the state from a checkpoint of the same run.

        Raises:
            UserError: The checkpoint belongs to another network or optimizer.
        """
        source = f"The checkpoint of step {checkpoint.step} in this run's folder"
        assign_by_path(self.model.weights, checkpoint.weights, "weights", source)
        self.optimizer.load(checkpoint.optimizer)
        self.loss_scale.load(checkpoint.optimizer)
        for name, variable in (("skipped", self.skipped), ("last_skipped", self.last_skipped)):
            variable.assign(checkpoint.meta.get(name, 0))
        self.averages.load(checkpoint.ema)


def moving_statistics(model: keras.Model) -> list:
    """The moving means and variances of the batch norms."""
    names = ("/moving_mean", "/moving_variance")
    return [v for v in model.weights if v.path.endswith(names)]


def trainable_variables(model: keras.Model, freeze_pattern: str | None) -> list:
    """The variables to train: all trainable ones whose path the pattern does not match."""
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
        log.warning(
            f"Warning: var_freeze_expr={freeze_pattern!r} matches no variable; all are trained."
        )
    return kept


def assign_by_path(
    variables: Iterable[keras.Variable], values: Mapping[str, np.ndarray], what: str, source: Any
) -> None:
    """Assigns values to variables by path; all must exist and have the right shape.

    Args:
        variables: Keras variables.
        values: Path -> value.
        what: Kind of values, for the error message.
        source: Their origin, for the error message.

    Raises:
        UserError: A value is missing or has another shape; nothing is assigned then.
    """
    for variable in variables:
        value = values.get(variable.path)
        if value is None or tuple(value.shape) != tuple(variable.shape):
            got = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise UserError(
                f"{source} has {got} for {variable.path} ({what}), but this network has shape "
                f"{tuple(variable.shape)}: the checkpoint belongs to another model or "
                "configuration. Choose another `model_dir`, or pass the checkpoint as `ckpt`."
            )
    for variable in variables:
        variable.assign(values[variable.path])
