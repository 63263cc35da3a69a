"""What an evaluation leaves in the folder, read back."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.util import event_pb2

from efficientvision.report.evaluation_files import add_evaluation, write_evaluation
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.tables import read_table
from efficientvision.visualize.sheet import read_sheet
from tests.report.made_run import IMAGES, MISTAKES, made_evaluation


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, metrics) of one evaluation at step 7."""
    folder = tmp_path_factory.mktemp("run")
    evaluation = made_evaluation()
    metrics = evaluation.compute()
    writer = tf.summary.create_file_writer(str(folder / "eval"))
    write_evaluation(folder, 7, metrics, evaluation, writer, complete=True)
    writer.close()
    return folder, metrics


def test_tables_and_facts(written):
    folder, metrics = written
    facts = json.loads((folder / "evaluation.json").read_text())
    assert facts["step"] == 7 and facts["images"] == IMAGES and facts["objects"] == 3 * IMAGES
    assert facts["metrics"] == pytest.approx(metrics)
    rows = read_table(folder, "per_class.csv")
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert float(rows[1]["AP"]) == pytest.approx(metrics["AP_/class 2"], abs=1e-6)
    assert sum(int(row["instances"]) for row in rows) == 3 * IMAGES
    assert len(read_table(folder, "pr_curves.csv")) == 3 * 101
    assert len(read_table(folder, "confusion_matrix.csv")) == 4


def test_photos_show_truth_beside_detections(written):
    folder, _ = written
    pictures = read_sheet((folder / "val_predictions.jpg").read_bytes())
    assert len(pictures) == 8
    assert pictures[0].caption.startswith("Image 0: 3 objects, ")
    assert pictures[-1].caption.startswith(f"Image {IMAGES - 1}: 3 objects, ")
    width, height = pictures[0].image.size
    assert width > 2 * 300 and height > 400  # The photo is 48 wide and 64 high, enlarged.


def test_mistakes_are_drawn_and_listed(written):
    folder, _ = written
    table = json.loads((folder / "mistakes.json").read_text())
    pictures = read_sheet((folder / "mistakes.jpg").read_bytes())
    assert table["step"] == 7 and len(table["mistakes"]) == len(pictures) == MISTAKES
    for facts, picture in zip(table["mistakes"], pictures, strict=True):
        assert facts["kind"] in picture.caption.lower() and facts["image"] in picture.caption
        assert max(picture.image.size) == 420
    kinds = {facts["kind"] for facts in table["mistakes"]}
    assert kinds == {"confused", "invented", "missed"}


def test_mistakes_of_an_earlier_step_are_kept_until_there_are_others(tmp_path):
    evaluation = made_evaluation()
    metrics = evaluation.compute()
    write_evaluation(tmp_path, 7, metrics, evaluation, complete=True)
    before = (tmp_path / "mistakes.jpg").read_bytes()
    write_evaluation(tmp_path, 8, metrics, evaluation)
    assert (tmp_path / "mistakes.jpg").read_bytes() == before
    evaluation.mistakes = lambda limit: []
    write_evaluation(tmp_path, 9, metrics, evaluation, complete=True)
    assert not (tmp_path / "mistakes.jpg").exists()
    assert json.loads((tmp_path / "mistakes.json").read_text()) == {"step": 9, "mistakes": []}


def test_tensorboard_gets_the_photos(written):
    folder, _ = written
    (path,) = (folder / "eval").iterdir()
    values = [
        (event.step, value)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for event in [event_pb2.Event.FromString(record)]
        for value in event.summary.value
    ]
    ((step, value),) = values
    assert step == 7 and value.tag == "val_predictions"
    assert value.metadata.plugin_data.plugin_name == "images"
    width, height, *photos = tf.make_ndarray(value.tensor)
    assert len(photos) == 4
    for photo in photos:
        image = Image.open(io.BytesIO(photo))
        assert image.size == (int(width), int(height))
        assert np.asarray(image).std() > 10


def test_evaluations_of_their_own_are_collected_by_step(tmp_path):
    for step, value in ((20, 0.1), (10, 0.2), (20, 0.3)):
        add_evaluation(tmp_path, step, {"AP": value})
    assert read_table(tmp_path, "evaluations.csv") == [
        {"step": "10", "AP": "0.2"},
        {"step": "20", "AP": "0.3"},
    ]


def test_an_evaluation_without_details_leaves_nothing(tmp_path):
    class Bare(Evaluation):
        def update(self, predictions, batch):
            raise NotImplementedError

        def compute(self):
            return {}

    write_evaluation(tmp_path, 1, {}, Bare())
    assert not list(tmp_path.iterdir())
