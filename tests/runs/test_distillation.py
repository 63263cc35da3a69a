"""`distill_from`: which checkpoint is the teacher, which classes are shared, what is said of it."""

import keras
import pytest
import tensorflow as tf

from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.preflight.findings import OK, WARNING
from efficientvision.runs import distillation, run_setup
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.loaded_model import LoadedModel

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
    with caplog.at_level("WARNING"):
        distillation.warn_of_small_teacher(teacher, teacher.model)
        distillation.warn_of_small_teacher(None, student)
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
