"""The evaluation pass: every image once, and decoding on the host (a TPU's) or on the replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.training_task import Evaluation, TrainingTask
from efficientvision.training import evaluator as evaluator_module
from efficientvision.training.evaluator import Evaluator

IMAGES = 7


class Kept(Evaluation):
    """Keeps what it is given."""

    def __init__(self):
        self.seen = []

    def update(self, predictions, batch):
        self.seen += zip(batch["number"].tolist(), predictions["double"].tolist(), strict=True)

    def compute(self):
        return {"images": float(len(self.seen))}


class DoublingTask(TrainingTask):
    """The network adds one to each image's number; decoding takes it off and doubles."""

    prediction_inputs = ("number",)
    loss_names = ("loss",)
    best_metric = "images"

    def training_dataset(self, batch_size, *, start_step, input_shard=(0, 1)):
        raise NotImplementedError

    def losses(self, model, batch, *, training, reduce_sum):
        raise NotImplementedError

    def evaluation_dataset(self, batch_size):
        numbers = np.arange(IMAGES, dtype=np.float32)
        return tf.data.Dataset.from_tensor_slices({"number": numbers}).batch(batch_size)

    def outputs(self, model, batch):
        return [model(batch["number"][:, tf.newaxis])]

    def decode(self, outputs, batch):
        # Decoding sees the batch that the outputs are of.
        kept = tf.abs(outputs[0][:, 0] - 1.0 - batch["number"]) < 1e-6
        return {"double": tf.where(kept, 2.0 * (outputs[0][:, 0] - 1.0), -1.0)}

    def new_evaluation(self):
        return Kept()


@pytest.mark.parametrize("on_host", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_image_is_predicted_once(on_host, batch_size):
    images = keras.Input([1])
    model = keras.Model(images, keras.layers.Rescaling(1.0, 1.0)(images))
    evaluator = Evaluator(DoublingTask(), model, tf.distribute.get_strategy(), batch_size)
    evaluator._on_host = on_host
    metrics, report, evaluation = evaluator.evaluate()
    assert evaluation.seen == [(float(n), 2.0 * n) for n in range(IMAGES)]
    assert metrics == {"images": IMAGES}
    assert "images" in report
    assert evaluator.traces == 1


class LosingTask(DoublingTask):
    """The loss of each image is its number, in terms of which the first counts twice."""

    val_loss_inputs = ("weight",)

    @property
    def num_evaluation_images(self):
        return IMAGES

    def evaluation_dataset(self, batch_size):
        def add(batch):
            return {**batch, "weight": 1.0 + tf.cast(batch["number"] == 0, tf.float32)}

        return super().evaluation_dataset(batch_size).map(add)

    def image_losses(self, outputs, batch):
        return tf.stack([batch["number"], batch["weight"]], axis=1)


@pytest.mark.parametrize("on_host", [False, True])
@pytest.mark.parametrize(("most", "expected"), [(1000, 21 / 8), (4, 9 / 5)])
def test_the_loss_leaves_out_padding_and_has_a_limit(on_host, most, expected, monkeypatch):
    """Every image once; with a limit, every second batch of 3: images 0, 1, 2 and 6."""
    monkeypatch.setattr(evaluator_module, "LOSS_IMAGES", most)
    images = keras.Input([1])
    model = keras.Model(images, keras.layers.Rescaling(1.0, 1.0)(images))
    evaluator = Evaluator(LosingTask(), model, tf.distribute.get_strategy(), 3)
    evaluator._on_host = on_host
    metrics, _, _ = evaluator.evaluate()
    assert metrics["val_loss"] == pytest.approx(expected) and evaluator.traces == 1
