"""The classification task: losses through a network, metrics, the report's tables and pictures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.choice import get_config
from efficientvision.tasks.classification.training_task import ClassificationTrainingTask
from tests.made_class_records import NAMES, made_class_record, write_class_records

OPTIONS = {"num_classes": 3, "image_size": 16, "label_smoothing": 0.0}


def task_of(records=None, **options):
    config = get_config("efficientnet-b0", {**OPTIONS, **options})
    return ClassificationTrainingTask(
        config,
        training_files=records,
        evaluation_files=records,
        class_names=NAMES,
        training_ids=(1, 2, 3),
        evaluation_ids=(1, 2, 3),
    )


def colour_network(scale=1.0):
    """Logits of blue, green, red: the channels' means, in grey levels as they were."""
    images = keras.Input((16, 16, 3))
    config = get_config("efficientnet-b0")
    pixels = images * np.array(config.stddev_rgb) + np.array(config.mean_rgb)
    means = keras.ops.mean(pixels, axis=(1, 2))
    return keras.Model(images, scale * means[:, ::-1])


def evaluate(task, model, batch_size=4):
    evaluation = task.new_evaluation()
    for batch in task.evaluation_dataset(batch_size):
        predictions = task.predict(model, batch)
        evaluation.update(
            {k: v.numpy() for k, v in predictions.items()}, {k: v.numpy() for k, v in batch.items()}
        )
    return evaluation, evaluation.compute()


@pytest.fixture
def records(tmp_path):
    return write_class_records(tmp_path / "a.tfrecord", (made_class_record(i) for i in range(10)))


def test_loss_is_that_of_the_network_on_normalised_images():
    task, model = task_of(), colour_network(0.01)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    labels = np.array([0, 2, 1, 1], np.int32)
    batch = {"images": tf.constant(images), "labels": tf.constant(labels)}
    normalizer = task.normalizer(batch, tf.identity)
    losses = task.losses(model, batch, training=True, normalizer=normalizer)
    logits = 0.01 * images.mean(axis=(1, 2))[:, ::-1]
    expected = -np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    expected = expected[np.arange(4), labels].mean()
    assert tuple(losses) == task.loss_names
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_network_that_sees_the_colour_is_always_right(records):
    evaluation, metrics = evaluate(task_of(records), colour_network())
    assert metrics["top1"] == 1.0 and "top5" not in metrics
    details = evaluation.details()
    assert details.facts == {"task": "classification", "images": 10}
    rows = details.tables["per_class"]
    assert [(r["class"], r["images"], r["F1"]) for r in rows] == [
        ("blue", 4, 1.0),
        ("green", 3, 1.0),
        ("red", 3, 1.0),
    ]
    matrix = details.tables["confusion_matrix"]
    assert [[row[name] for name in NAMES.values()] for row in matrix] == np.diag([4, 3, 3]).tolist()


def test_a_network_that_is_always_wrong(records):
    """Upside down: the true colour comes last."""
    evaluation, metrics = evaluate(task_of(records), colour_network(-1.0))
    assert metrics["top1"] == 0.0
    assert metrics["val_loss"] > 5
    assert "top1    0.0" in evaluation.report(metrics)
    assert evaluation.details().tables["per_class"][0]["recall"] == 0.0


def test_pictures_say_truth_and_prediction(records):
    evaluation, _ = evaluate(task_of(records), colour_network())
    pictures = evaluation.pictures()
    assert len(pictures) == 10  # As many as there are.
    assert pictures[1].caption == "Truth: green. Predicted: green 100%. Image 1."
    assert evaluation.mistakes(20) == []
    task = task_of(records)
    batch = next(iter(task.training_dataset(4, start_step=0)))
    shown = task.training_pictures({k: v.numpy() for k, v in batch.items()}, 3)
    assert len(shown) == 3 and shown[0].caption in NAMES.values()


def test_the_most_confident_mistakes_come_first(records):
    evaluation, _ = evaluate(task_of(records), colour_network(-0.01))
    found = evaluation.mistakes(4)
    scores = [mistake.facts["score"] for mistake in found]
    assert len(found) == 4 and scores == sorted(scores, reverse=True) and 0.3 < scores[0] <= 1
    facts = found[0].facts
    assert facts["truth"] != facts["predicted"].split()[0] and facts["kind"] == "wrong"
    assert found[0].picture.caption.startswith(f"Truth: {facts['truth']}. Predicted: ")
    unknown = task_of(records).new_evaluation()
    batch = {"labels": np.array([-1]), "images": np.zeros((1, 4, 4, 3), np.uint8)}
    unknown.update({"logits": np.eye(3)[:1]}, {**batch, "source_id": [b"a"]})
    assert unknown.mistakes(4) == []


def test_several_labels(tmp_path):
    """Channels brighter than half of a pure square's mean are there."""
    sets = [[1 + i % 3] for i in range(9)]
    path = write_class_records(
        tmp_path / "a.tfrecord", (made_class_record(i, c) for i, c in enumerate(sets))
    )
    task = task_of(path, multi_label=True)
    images = keras.Input((16, 16, 3))
    colours = colour_network()(images)
    model = keras.Model(images, colours - 60.0)
    evaluation, metrics = evaluate(task, model)
    assert (task.best_metric, metrics["mAP"]) == ("F_O", 1.0)
    assert metrics["val_loss"] < 0.01 and evaluation.mistakes(20) == []
    details = evaluation.details()
    assert details.facts["labels"] == 9 and len(details.tables["f1_curves"]) == 3 * 99
    assert [row["AP"] for row in details.tables["per_class"]] == [1.0] * 3
    assert len(details.tables["pr_curves"]) == 3 * 101


def test_training_batches_have_names(records):
    task = task_of(records)
    names = task.source_ids(4, step=0)
    assert len(names) == 4 and set(names) <= {str(i) for i in range(10)}
