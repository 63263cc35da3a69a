"""`--preflight` on data that is right, and on data that is wrong in each of the usual ways."""

import json

import numpy as np
import pytest

from efficientvision.data.ground_truth import coco_ground_truth
from efficientvision.errors import UserError
from efficientvision.runs import preflight, run_setup, train
from tests.example_records import HEIGHT, WIDTH, example, photo, write_examples
from tests.programs import run_options

HPARAMS = (
    "image_size=96x64,num_classes=3,max_level=5,anchor_scale=2,optimizer=adam,learning_rate=1e-3,"
    "scale_learning_rate=false,lr_warmup_epoch=0.1,bn_momentum=0.9"
)
NAMES = {1: "ant", 2: "bee", 3: "cat"}
COUNT = 24


def made(index, change=lambda boxes: boxes, shift=0, renumbered=0, **fields):
    """An example of three bright rectangles, one of each class."""
    random = np.random.default_rng(index)
    corner = random.integers(0, [HEIGHT // 2, WIDTH // 2], (3, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (3, 2))], axis=-1)
    image = photo(boxes=boxes, seed=index)
    classes = [class_id + shift for class_id in NAMES]
    fields = {"encoded": image, "source_id": str(index + 1 + renumbered), **fields}
    names = [NAMES[class_id] for class_id in NAMES]
    return example(index, change(boxes.astype(float)), classes, class_names=names, **fields)


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Writes records and runs the preflight over them, on a terminal that wraps little."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    truth = write_examples(tmp_path, (made(k) for k in range(COUNT, COUNT + 6)), "truth")
    (tmp_path / "truth.json").write_text(json.dumps(coco_ground_truth(truth, NAMES)))

    def run(*arguments, emptied=None, val=None, **options):
        write_examples(tmp_path, (made(k, **options) for k in range(COUNT)), "train", 4)
        val = options if val is None else val
        later = range(COUNT, COUNT + 6)
        write_examples(tmp_path, (made(k, **val) for k in later), "val")
        if emptied is not None:
            (tmp_path / f"train-{emptied:05d}-of-00004.tfrecord").write_bytes(b"")
        options = run_options(
            "--mode=train_and_eval",
            "--model_name=efficientdet-d0",
            f"--model_dir={tmp_path / 'run'}",
            f"--train_file_pattern={tmp_path}/train-*",
            f"--val_file_pattern={tmp_path}/val-*",
            "--train_batch_size=4",
            f"--num_examples_per_epoch={COUNT}",
            "--num_epochs=20",
            f"--hparams={HPARAMS}",
            *arguments,
        )
        config = run_setup.training_config(options)
        names = run_setup.class_names(config, options.train_file_pattern)
        plan = run_setup.training_plan(options, config)
        preflight.run(options, config, names, plan, run_setup.learning_rates(config, plan))
        return options

    return run


def with_json(tmp_path):
    return f"--val_json_file={tmp_path / 'truth.json'}"


def test_good_data(look, tmp_path, capsys):
    look(with_json(tmp_path))
    text = capsys.readouterr().out
    assert "num_classes=3 (4 with the background)" in text
    assert "0 errors, 0 warnings." in text, text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("shift", "ids"), [(-1, "0..2"), (1, "2..4")])
def test_class_ids_shifted_by_one(look, shift, ids):
    with pytest.raises(UserError, match=f"ids are {ids}: shifted by one"):
        look(shift=shift)


def test_ids_that_the_json_lacks(look, tmp_path):
    with pytest.raises(UserError, match="6 of 6 image ids are not in truth.json: 1025, 1026"):
        # The same photos under other ids.
        look(with_json(tmp_path), val={"renumbered": 1000})


def test_all_boxes_of_zero_area(look):
    with pytest.raises(UserError, match="72 of 72 have no area"):
        look(change=lambda boxes: boxes[:, [0, 1, 0, 3]])


def test_x_and_y_swapped(look):
    size = np.array([HEIGHT, WIDTH] * 2)
    with pytest.raises(UserError, match="x and y are swapped"):
        look(change=lambda boxes: (boxes / size)[:, [1, 0, 3, 2]] * size)


def test_an_empty_shard_is_a_warning(look, tmp_path, capsys):
    look(with_json(tmp_path), emptied=2)
    text = " ".join(capsys.readouterr().out.split())
    assert "1 of 4 files are empty:" in text and "train-00002-of-00004.tfrecord" in text
    assert "0 errors, 1 warning." in text


def test_photos_of_val_in_train_are_a_warning(look, capsys):
    look(val={"encoded": photo(seed=3)}, encoded=photo(seed=3))
    text = " ".join(capsys.readouterr().out.split())
    assert "are also in train" in text, text


def test_off_it_looks_at_the_classes_alone(look, capsys):
    look("--preflight=false", change=lambda boxes: boxes[:, [0, 1, 0, 3]])
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match="class 4.*number the classes"):
        look("--preflight=false", shift=1)


def test_only_ends_after_it(look, tmp_path, capsys):
    options = look("--preflight=only")
    capsys.readouterr()
    train.train(options, "")
    assert capsys.readouterr().out.rstrip().endswith("0 errors, 0 warnings.")
    assert not (tmp_path / "run").exists()
