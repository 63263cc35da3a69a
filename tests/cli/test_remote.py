"""A whole run whose data, settings and folder are remote: `ram://` stands for `gs://`."""

import json

import numpy as np
import pytest
from absl import flags

from efficientvision import files
from efficientvision.cli.flags import define_train_flags, options_of
from efficientvision.data.labels import read_labels
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.data.record_files import count_records, iter_records, match_files
from efficientvision.runs import evaluate, run_setup, train
from efficientvision.training.best_checkpoint import best_objective
from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.run_log import read_results
from tests.made_records import write_made_records
from tests.trained_runs import eagerly
from tests.training.killed_training import tiny_detector

IMAGES = 8
SETTINGS = """
image_size: 64
min_level: 3
max_level: 3
num_classes: 2
fpn_num_filters: 8
survival_prob: 0.8
"""


@pytest.fixture
def store(tmp_path):
    """A remote folder with records, names and settings; and the same records on the disk."""
    folder = f"ram://{tmp_path.name}"
    local = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", IMAGES)
    for kind in ("train", "val"):
        files.copy(local, f"{folder}/data/{kind}-00000-of-00001.tfrecord")
    files.write_text(f"{folder}/data/labels.json", json.dumps({"1": "dark", "2": "light"}))
    files.write_text(f"{folder}/small.yaml", SETTINGS)
    yield folder
    files.remove_folder(folder)


def _flags(store, mode, *more):
    values = flags.FlagValues()
    define_train_flags(values)
    values(
        [
            "main.py",
            f"--mode={mode}",
            "--model_name=efficientdet-d0",
            f"--model_dir={store}/run",
            f"--train_file_pattern={store}/data/train-*",
            f"--val_file_pattern={store}/data/val-*",
            f"--hparams={store}/small.yaml",
            "--train_batch_size=2",
            "--eval_batch_size=4",
            f"--num_examples_per_epoch={IMAGES}",
            *more,
        ]
    )
    return options_of(values)


def test_records_names_and_photos_are_read(store, tmp_path):
    (path,) = match_files(f"{store}/data/train*")
    local = tmp_path / "made-00000-of-00001.tfrecord"
    assert count_records([path]) == [IMAGES]
    assert list(iter_records(path)) == list(iter_records(str(local)))
    assert read_labels(f"{store}/data/labels.json") == {1: "dark", 2: "light"}
    pixels = np.zeros((4, 6, 3), np.uint8)
    from PIL import Image

    with files.writing(f"{store}/photos/a.png") as file:
        Image.fromarray(pixels).save(file, format="PNG")
    for pattern in ("photos", "photos/*.png", "photos/a.png"):
        (photo,) = list_photos(f"{store}/{pattern}")
        np.testing.assert_array_equal(open_photo(photo), pixels)


@pytest.mark.slow
def test_training_is_resumed_and_evaluated(store, monkeypatch, capsys):
    monkeypatch.setattr(run_setup, "build_from_config", tiny_detector)
    for epochs in (1, 2):
        assert train.train(_flags(store, "train_and_eval", f"--num_epochs={epochs}"), "") == 0
    assert "Resuming from step 4 of 8 in ram://" in capsys.readouterr().out
    run = f"{store}/run"
    names = set(files.list_names(run))
    assert {"ckpt-4.npz", "ckpt-8.npz", "config.yaml", "labels.json", "report.html"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert [row["step"] for row in read_results(run)] == ["4", "8"]
    assert any(n.startswith("events.") for n in files.list_names(f"{run}/train"))
    archived = set(files.list_names(f"{run}/archive"))
    assert {"best_eval.txt", "config.yaml", "labels.json"} <= archived
    best = max(float(row["AP"]) for row in read_results(run))
    assert best_objective(run) == pytest.approx(best, abs=1e-6)
    assert read_checkpoint(run).step == 8


@pytest.mark.slow
def test_detector_is_loaded_evaluated_and_begun_from(store, monkeypatch, capsys):
    small = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1,num_classes=2"
    first = ("--num_epochs=1", f"--hparams={small}")
    with eagerly():
        assert train.train(_flags(store, "train", *first), "") == 0
        evaluate.run(_flags(store, "eval", f"--testdev_dir={store}/testdev", f"--hparams={small}"))
    (name,) = files.list_names(f"{store}/testdev")
    assert name == "detections_test-dev2017_test_results.json"
    assert json.loads(files.read_text(f"{store}/testdev/{name}"))
    other = (f"--model_dir={store}/other", f"--ckpt={store}/run")
    capsys.readouterr()
    with eagerly():
        assert train.train(_flags(store, "train", *first, *other), "") == 0
    assert f"Weights from {store}/run/ckpt-4.npz" in capsys.readouterr().out
