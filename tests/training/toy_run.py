"""A run of two weights, whose evaluations give what a table says: for tests of the loop itself."""

import keras
import numpy as np
import tensorflow as tf

from efficientvision.layers.normalization import BatchNorm
from efficientvision.tasks.training_task import Evaluation, TrainingTask
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.schedules import WarmupSchedule
from efficientvision.training.trainer import Trainer

BATCH = 2
IMAGES = 4


class ToyEvaluation(Evaluation):
    """Gives the metric of the step that the run has reached."""

    def __init__(self, task):
        self._task = task

    def update(self, predictions, batch):
        self._task.before_batch(self._task.trainer.state.step)

    def compute(self):
        return {"AP": self._task.metrics[self._task.trainer.state.step]}


class ToyTask(TrainingTask):
    """Fits a line.

    Args:
        metrics: Step -> AP.
        before_batch: Called with the step before each batch of an evaluation counts.
    """

    prediction_inputs = ("x",)
    loss_names = ("loss",)
    best_metric = "AP"

    def __init__(self, metrics, before_batch=lambda step: None):
        self.metrics = metrics
        self.before_batch = before_batch
        self.trainer = None

    def training_dataset(self, batch_size, *, start_step, input_shard=(0, 1)):
        def batch(step):
            x = tf.cast(step * batch_size + tf.range(batch_size, dtype=tf.int64), tf.float32)
            return {"x": tf.math.floormod(x, 7.0)[:, tf.newaxis]}

        return tf.data.Dataset.counter(start_step).map(batch)

    def losses(self, model, batch, *, training, normalizer):
        x = batch["x"]
        return {"loss": tf.reduce_sum((model(x, training=training) - 3.0 * x) ** 2) / normalizer}

    def evaluation_dataset(self, batch_size):
        x = np.arange(IMAGES, dtype=np.float32)[:, np.newaxis]
        return tf.data.Dataset.from_tensor_slices({"x": x}).batch(batch_size)

    def outputs(self, model, batch):
        return [model(batch["x"])]

    def decode(self, outputs, batch):
        return {"y": outputs[0]}

    def new_evaluation(self):
        return ToyEvaluation(self)


def on_a_backbone(images):
    """What a backbone of one layer and a batch norm makes of the images."""
    x = keras.layers.Dense(4, name="efficientnet-toy")(images)
    return BatchNorm(0.9, name="efficientnet-toy-norm")(x[:, None, None])[:, 0, 0]


def toy_trainer(
    model_dir, task, *, epochs=4, steps=2, save_every=100, callbacks=(), body=None, **recipe
):
    """A trainer of `epochs` epochs of `steps` steps, resumed from what is in the folder.

    `body` stands between the images and the line; `recipe`: of `TrainingRecipe`.
    """
    keras.utils.set_random_seed(0)
    images = keras.Input([1])
    x = body(images) if body else images
    trainer = Trainer(
        task,
        lambda: keras.Model(images, keras.layers.Dense(1, name="line")(x)),
        TrainingPlan(
            batch_size=BATCH,
            examples_per_epoch=BATCH * steps,
            num_epochs=epochs,
            model_dir=model_dir,
            save_every=save_every,
            steps_per_call=1,
            eval_batch_size=2,
        ),
        WarmupSchedule(
            "cosine", peak=1e-3, warmup_init=0.0, warmup_steps=1, total_steps=epochs * steps
        ),
        TrainingRecipe(**{"moving_average_decay": 0.5, **recipe}),
        callbacks,
    )
    task.trainer = trainer
    trainer.resume()
    return trainer
