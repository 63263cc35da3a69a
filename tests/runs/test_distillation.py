"""`distill_from`: which checkpoint is the teacher, which classes are shared, what is said of it."""

import keras
import pytest
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.preflight.findings import OK, WARNING
from efficientvision.runs import distillation, run_setup
from efficientvision.runs import train as train_command
from efficientvision.tasks.choice import config_from_yaml, get_config
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.run_log import read_results
from tests.trained_runs import eagerly, train, trained_run

OURS = {1: "Red cell", 2: "white", 3: "platelet"}


@pytest.fixture
def teach(monkeypatch):
    """Loads a teacher of the given class names for a student of `OURS`."""

    def load(theirs, size="96x64", names=OURS, num_classes=None):
        def load_model(path, *, task, **changes):
            values = {"num_classes": num_classes or max(len(theirs), 1), **changes}
            config = get_config("efficientdet-d0", values, task=task)
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            return LoadedModel(model, config, theirs)

        monkeypatch.setattr(distillation, "load_model", load_model)
        config = get_config("efficientdet-lite0", f"num_classes=3,image_size={size}")
        options = RunOptions(distill_from="somewhere")
        return distillation.load_teacher(options, config, names, tf.distribute.get_strategy())

    return load


def test_the_best_checkpoint_of_a_run(tmp_path):
    assert distillation.best_of_run(str(tmp_path)) == str(tmp_path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "ckpt-5.npz").touch()
    assert distillation.best_of_run(str(tmp_path)) == str(tmp_path / "archive")
    own = str(tmp_path / "archive" / "ckpt-5.npz")
    assert distillation.best_of_run(own) == own


def test_no_teacher():
    config = get_config("efficientdet-lite0")
    strategy = tf.distribute.get_strategy()
    assert distillation.load_teacher(RunOptions(), config, OURS, strategy) == (None, [])


def test_classes_are_matched_by_name(teach):
    teacher, (classes, size) = teach({1: "platelet", 2: "dust", 3: "red_cell", 4: "White"})
    assert list(teacher.own_classes) == [0, 1, 2] and list(teacher.classes) == [2, 3, 0]
    assert classes.level == OK and classes.found.endswith("3 of 3 by name")
    assert size.level == WARNING and "at 96x64; its own size is 512x512" in size.found
    assert teacher.config.image_hw == (64, 96) and len(teacher.weights_hash) == 64


def test_some_classes(teach):
    teacher, (classes, size) = teach({1: "platelet", 2: "white"}, size="512x448")
    assert list(teacher.own_classes) == [1, 2] and list(teacher.classes) == [1, 0]
    assert classes.level == WARNING and size.level == OK
    assert "2 of 3 by name; the teacher lacks Red cell" in classes.found


def test_unknown_names(teach):
    teacher, (classes, _) = teach({}, num_classes=3)
    assert list(teacher.classes) == [0, 1, 2]
    assert "3 of 3 by number (the teacher's names are unknown)" in classes.found
    with pytest.raises(UserError, match="has 4 classes, but this run has 3, and the teacher's"):
        teach({}, num_classes=4)


def test_no_shared_class(teach):
    with pytest.raises(UserError, match="shares no class .* it knows cat, dog, the run Red cell"):
        teach({1: "cat", 2: "dog"})


def test_missing_file_is_named(tmp_path):
    config = get_config("efficientdet-lite0")
    options = RunOptions(distill_from=str(tmp_path / "none"))
    with pytest.raises(UserError, match="`distill_from=.*none`: "):
        distillation.load_teacher(options, config, OURS, tf.distribute.get_strategy())


def test_a_smaller_teacher_is_only_warned_of(teach, caplog):
    teacher, _ = teach(OURS)
    student = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)], name="student")
    caplog.clear()
    distillation.warn_of_small_teacher(teacher, teacher.model)
    assert not caplog.text
    distillation.warn_of_small_teacher(teacher, student)
    assert "is smaller than student" in caplog.text


def test_options_that_need_a_teacher():
    config = get_config("efficientdet-lite0", "distill_box_weight=2")
    with pytest.raises(UserError, match="distill_box_weight=2 has no effect without a teacher"):
        distillation.check_options(RunOptions(), config)
    distillation.check_options(RunOptions(distill_from="runs/a"), config)
    with pytest.raises(UserError, match="`distill_from` is for training"):
        run_setup.check_options(RunOptions(mode="eval", model_dir="r", distill_from="runs/a"))


@pytest.mark.slow
def test_a_run_learns_from_another(tmp_path, monkeypatch):
    """The command of docs/training.md, with the modern recipe; checkpoints hold the student only; a
    new teacher is told.
    """
    monkeypatch.setattr(train_command, "run_callbacks", lambda *_: [])
    teacher, _ = trained_run("efficientdet")
    network = ",fpn_cell_repeats=1,box_class_repeats=1,fpn_num_filters=8,num_classes=2"
    run = tmp_path / "run"
    flags = ("--preflight=true", "--recipe=modern", f"--distill_from={teacher}")
    with eagerly():
        first = train("efficientdet", run, *flags, more=network, epochs=1)
        assert first.code == 0, first.stderr[-3000:]
        assert "assignment=task_aligned (" in first.stdout + first.stderr
        assert "Teacher: efficientdet-d0" in first.stdout and "2 of 2 by name" in first.stdout
        (row,) = read_results(run)
        assert float(row["distill_loss"]) > 0
        checkpoint = read_checkpoint(run)
        assert checkpoint.meta["task"]["teacher"]["path"] == f"{teacher}/archive"
        alone = build_from_config(config_from_yaml(str(run / "config.yaml")))
        assert set(checkpoint.weights) == {v.path for v in alone.weights}
        second = train("efficientdet", run, more=network, epochs=2)
    assert second.code == 0, second.stderr[-3000:]
    assert "without --distill_from it continues without a teacher" in second.stdout + second.stderr
