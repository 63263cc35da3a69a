"""A small detector and its training steps, on batches of which some may be poisoned."""

import functools

import keras
import numpy as np
import tensorflow as tf

from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep
from tests.training.replicas import BATCH, SIZE, STEPS, pictures, small_detector

OPTIONS = {
    "num_classes": 3,
    "image_size": SIZE,
    "anchor_scale": 2,
    "bn_momentum": 0.9,
    "min_level": 3,
    "max_level": 3,
    "positives_momentum": 0.9,
}
_START = []


class PoisonedTask(EfficientDetTrainingTask):
    """The detection task; a positive `poison` of an image makes the step not finite.

    Args:
        kind: "loss": the loss is NaN; "gradient": the loss is finite, its gradient is not.
    """

    def __init__(self, config, kind):
        super().__init__(config)
        self.kind = kind

    def losses(self, model, batch, *, training, normalizer):
        losses = super().losses(model, batch, training=training, normalizer=normalizer)
        poison = tf.reduce_max(batch["poison"])
        if self.kind == "loss":
            wrong = tf.where(poison > 0.0, float("nan"), 0.0)
        else:
            # The square root is 0 where it is poisoned; its slope is infinite.
            wrong = 1e-9 * tf.sqrt(losses["loss"] * (1.0 - poison))
        return losses | {"loss": losses["loss"] + wrong}


def begun(config=None, **options):
    """A training at its start; of equal arguments the same one, which need not be traced again."""
    training = _made(tuple((config or {}).items()), **options)
    training.begin_anew()
    return training


@functools.cache
def _made(config, **options):
    return SmallTraining(dict(config), **options)


class SmallTraining:
    """Task, state and step of a small detector that starts at the same weights in every run.

    Args:
        config: overrides of the configuration.
        kind: see `PoisonedTask`.
        optimizer: name.
        scale_loss: as `TrainingState`.
        options: further arguments of `TrainStep`.
    """

    def __init__(self, config=None, kind="loss", optimizer="adam", scale_loss=False, **options):
        self.task = PoisonedTask(get_config("efficientdet-d0", {**OPTIONS, **(config or {})}), kind)
        self.task.create_variables()
        keras.utils.set_random_seed(0)
        model = small_detector(self.task.config)
        if not _START:
            _START.extend(w.numpy() for w in model.weights)
        model.set_weights(_START)
        self.state = TrainingState(
            model,
            build_optimizer(optimizer),
            tf.distribute.get_strategy(),
            learning_rate=0.01,
            moving_average_decay=0.99,
            scale_loss=scale_loss,
        )
        self.step = TrainStep(self.task, self.state, weight_decay=1e-2, clip_norm=0.5, **options)
        self._start = self.state.snapshot(), self.task.snapshot()

    def begin_anew(self):
        """Everything is as it was at first."""
        state, task = self._start
        self.state.restore(state)
        self.task.restore(task)

    def train(self, batches, poisoned=()):
        """Trains on batches of these numbers, in one call."""
        data = pictures()
        poison = np.repeat(np.isin(np.arange(STEPS), poisoned), BATCH).astype(np.float32)
        rows = np.concatenate([np.arange(BATCH) + BATCH * number for number in batches])
        data = {name: value[rows] for name, value in (data | {"poison": poison}).items()}
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(BATCH, drop_remainder=True)
        return self.step(iter(dataset), len(batches))

    def train_images(self, rows):
        """One step on some of the pictures (a slice)."""
        data = {name: value[rows] for name, value in pictures().items()}
        data["poison"] = np.zeros(len(data["images"]), np.float32)
        return self.step(iter(tf.data.Dataset.from_tensors(data)), 1)

    def values(self):
        """Everything that a step may change, by name."""
        snapshot = self.state.snapshot()
        groups = {"weights": snapshot.weights, "ema": snapshot.ema, "optimizer": snapshot.optimizer}
        values = {
            f"{g}/{name}": value for g, items in groups.items() for name, value in items.items()
        }
        return values | {"positives": np.float64(self.task.snapshot()["positives"])}
