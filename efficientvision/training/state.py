"""What a run carries from step to step: weights, averages, optimizer, seeds."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.averaging import WeightAverages
from efficientvision.training.checkpoints import Checkpoint
from efficientvision.training.distribution import average_statistics
from efficientvision.training.flat_variables import FlatVariables, counter
from efficientvision.training.loss_scale import LossScale
from efficientvision.training.optimizers import FlatOptimizer, UpdateRule

log = logging.getLogger(__name__)


class TrainingState:
    """Network, optimizer and averages of a run. Create it under the strategy's scope.

    Between two calls of the compiled step the network's variables hold its weights; inside a call
    the vectors of `FlatVariables` do (see there).

    Args:
        model: A built Keras model.
        optimizer: From `optimizers.build_optimizer`.
        strategy: The run's distribution strategy.
        learning_rate: Number, or function of the step.
        moving_average_decay: Largest decay of the weight averages, 0 for none.
        freeze_pattern: Regular expression; variables whose path it matches (`re.match`) are not
            trained.
        seed: Seed of the layers' randomness (drop-connect).
        scale_loss: Scale the loss, as float16 needs it.
        reports_skipped: `counts` names the steps that were left out.
        decay_all: Weight decay is of all weights, not of the kernels alone.
        rate_factor: Path of a variable -> by what its learning rate is multiplied; None: 1.

    Attributes:
        skipped: Steps left out because they were not finite.
        last_skipped: The last of these, counted from 1; 0: none.

    Raises:
        UserError: If the pattern is ill-formed, or leaves nothing to train.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: UpdateRule,
        strategy: tf.distribute.Strategy,
        *,
        learning_rate,
        moving_average_decay: float = 0.0,
        freeze_pattern: str | None = None,
        seed: int = 0,
        scale_loss: bool = False,
        reports_skipped: bool = False,
        decay_all: bool = False,
        rate_factor: Callable[[str], float] | None = None,
    ):
        self.model = model
        self.strategy = strategy
        self.seed = seed
        trained = trainable_variables(model, freeze_pattern)
        self.optimizer = FlatOptimizer(
            optimizer, learning_rate, trained, decay_all=decay_all, rate_factor=rate_factor
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
        """Training steps done."""
        return int(self.optimizer.iterations.numpy())

    def counts(self) -> dict[str, float]:
        """What is to be told of steps that were left out, by name; empty where none can be."""
        told = {"skipped_steps": float(self.skipped.numpy())} if self._reports_skipped else {}
        if self.loss_scale.dynamic:
            left_out = self.optimizer.iterations - self.optimizer.updates
            told["overflow_steps"] = float((left_out - self.skipped).numpy())
            told["loss_scale"] = self.loss_scale.value
        return told

    def gather(self) -> None:
        """Begins a call of the compiled step: fills the vectors from the network's variables."""
        for group in (*self.optimizer.groups, self.statistics, self._constants):
            group.gather()

    def scatter(self) -> None:
        """Ends it: fills the network's variables from the vectors."""
        for group in (*self.optimizer.groups, self.statistics):
            group.scatter()

    def bound(self, weights: Sequence[tf.Tensor], statistics: tf.Tensor) -> list[tuple]:
        """What the variables are in a forward pass, for `keras.StatelessScope`.

        Args:
            weights: float32 [size] of each of the optimizer's groups.
            statistics: float32 [size].
        """
        pairs = self.statistics.bound(statistics)
        for group, vector in zip(self.optimizer.groups, weights, strict=True):
            pairs += group.bound(vector)
        return pairs

    def new_statistics(self, scope: keras.StatelessScope) -> tf.Tensor:
        """The moving statistics, float32 [size], as a forward pass in `scope` left them."""
        for variable in self._constants.variables:
            if scope.get_current_value(variable) is not None:
                raise ValueError(f"{variable.path} is not trained, and a layer assigns to it.")
        values = [scope.get_current_value(v) for v in self.statistics.variables]
        return tf.stop_gradient(self.statistics.join(values))

    def leave_out(self, overflow: tf.Tensor) -> None:
        """Notes a step that is not finite; `overflow` (bool scalar): for the loss scale's sake."""
        self.loss_scale.after_overflow(overflow)
        self.skipped.assign_add(tf.cast(~overflow, tf.int64))
        step = self.optimizer.iterations + 1
        self.last_skipped.assign(tf.where(overflow, self.last_skipped, step))

    def seed_layers(self, part=0) -> None:
        """Sets the layers' random state as a function of seed, step, part, replica and layer.

        Called in replica context at the beginning of each step: a run that goes on from a
        checkpoint then draws what it would have drawn without the break.

        Args:
            part: Micro-batch of the step.
        """
        if not self._seed_states:
            return
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # Two numbers are all that a stateless operation takes as its seed.
        first = int(np.random.SeedSequence(self.seed).generate_state(1, np.uint32)[0])
        first += tf.cast(replica, tf.int64) + tf.cast(part, tf.int64) * 2**40
        key = tf.stack([first, tf.cast(self.optimizer.iterations, tf.int64)])
        drawn = tf.random.stateless_uniform(
            [len(self._seed_states), 2], key, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        for state, value in zip(self._seed_states, tf.unstack(drawn), strict=True):
            state.assign(tf.cast(value, state.dtype))

    def synchronize(self) -> None:
        """Makes the replicas' moving statistics and averages one (before saving, evaluating)."""
        average_statistics(self.strategy, self.statistics.variables)
        average_statistics(self.strategy, self.averages.variables)

    def snapshot(self, **meta) -> Checkpoint:
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
        """Goes on from a checkpoint of the same run.

        Raises:
            UserError: If the checkpoint is of another network or another optimizer.
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
        log.warning(
            f"Warning: var_freeze_expr={freeze_pattern!r} matches no variable; all are trained."
        )
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
                "another `model_dir`, or give it as `ckpt`."
            )
    for variable in variables:
        variable.assign(values[variable.path])
