"""Folders of labelled photos where a run or an export takes records."""

import logging

import numpy as np
import pytest
from PIL import Image

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import options_from
from efficientvision.data.record_files import num_records
from efficientvision.errors import UserError
from efficientvision.runs import calls, run_setup
from efficientvision.runs.data_source import locate, locate_for_export, names_data, needs_task
from efficientvision.tasks.choice import find_task
from tests.made_mask_files import write_pairs

MODEL = {"model_name": "shufflenetv2_s_0.1", "model_dir": "run"}


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture
def classifier():
    return find_task("classification")


@pytest.fixture
def photos(tmp_path):
    """Four photos of two classes, not split."""
    for k in range(4):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), k, np.uint8)).save(path)
    return tmp_path / "photos"


def found(classifier, photos, **options):
    decided = options_from({**MODEL, "data_dir": str(photos), **options})
    return locate(decided, lambda: classifier)


def test_training_takes_both_parts(classifier, photos):
    options = found(classifier, photos, val_fraction=0.5)
    assert [num_records(pattern) for pattern in options.record_patterns.values()] == [2, 2]
    assert options.data_dir == str(photos)
    own = found(classifier, photos, val_file_pattern="mine*")
    assert own.val_file_pattern == "mine*" and num_records(own.train_file_pattern) == 3


def test_an_evaluation_takes_the_part_that_is_asked_for(classifier, photos, caplog):
    caplog.set_level(logging.INFO)
    held_out = found(classifier, photos, mode="eval", val_fraction=0.25)
    assert num_records(held_out.val_file_pattern) == 1
    for everything in ({"val_fraction": 0.0}, {}):  # No run was trained on them.
        options = found(classifier, photos, mode="eval", **everything)
        assert num_records(options.val_file_pattern) == 4
    assert "Evaluating on all photos of" in caplog.text and "not split" in caplog.text
    exported = found(classifier, photos, mode="eval", model_dir="model.tflite")
    assert num_records(exported.val_file_pattern) == 1
    with pytest.raises(UserError, match="`eval_part=test`: .* has no test part"):
        found(classifier, photos, mode="eval", eval_part="test")
    for part, name in (("train", "a"), ("test", "b")):
        (photos / part).mkdir()
        (photos / name).rename(photos / part / "a")
    tested = found(classifier, photos, mode="eval", eval_part="test")
    assert tested.val_file_pattern.endswith("/test*.tfrecord")


def test_options_that_need_another(tmp_path):
    for more, says in (
        ({"val_fraction": 0.2}, "`val_fraction` needs `data_dir`"),
        ({"data_dir": "x", "eval_part": "test"}, "`eval_part=test` is for `mode=eval`"),
        ({"data_dir": "nowhere"}, None),
    ):
        options = options_from({**MODEL, **more})
        if says is None:
            assert run_setup.check_options(options) is options
            continue
        with pytest.raises(UserError, match=says):
            run_setup.check_options(options)


def test_the_kinds_of_data_of_a_call(photos, tmp_path):
    (tmp_path / "a-00000-of-00001.tfrecord").write_bytes(b"")
    (tmp_path / "data.csv").write_text("")
    record = str(tmp_path / "a-00000-of-00001.tfrecord")
    assert calls.patterns_of(str(photos)) == {"data_dir": str(photos)}
    assert calls.patterns_of(tmp_path / "data.csv") == {"data_dir": str(tmp_path / "data.csv")}
    assert calls.patterns_of("nowhere") == {"data_dir": "nowhere"}
    assert calls.patterns_of("a/train*") == {"train_file_pattern": "a/train*"}
    assert calls.patterns_of(record) == {"train_file_pattern": record}
    assert names_data(photos) and not names_data(None) and not names_data("a/*.jpg")


def test_an_export_calibrates_on_train_and_verifies_on_val(classifier, photos, caplog):
    caplog.set_level(logging.INFO)
    settings = InspectSettings(
        calibration_file_pattern=str(photos), val_file_pattern=str(photos), val_fraction=0.25
    )
    settings = locate_for_export(settings, classifier)
    assert num_records(settings.calibration_file_pattern) == 3
    assert num_records(settings.val_file_pattern) == 1
    assert caplog.text.count("class folders (a/, b/), 3 photos to train, 1 to validate") == 1


def test_export_options_without_a_folder():
    assert not needs_task(InspectSettings(val_file_pattern="val*"))
    with pytest.raises(UserError, match="`split_seed` needs a folder"):
        needs_task(InspectSettings(val_file_pattern="val*", split_seed=0))


def test_photos_alone_still_do(classifier, photos):
    alone = str(photos / "a")
    asked = InspectSettings(calibration_file_pattern=alone, val_file_pattern=alone)
    settings = locate_for_export(asked, classifier)
    assert settings.calibration_file_pattern == settings.input_image == alone
    assert settings.val_file_pattern is None
    with pytest.raises(UserError, match="no labels of a known form"):
        locate_for_export(
            InspectSettings(val_file_pattern=alone, data_format="folders"), classifier
        )


def test_masks_of_a_segmenter(tmp_path):
    write_pairs(tmp_path / "data", 3)
    settings = InspectSettings(val_file_pattern=str(tmp_path / "data"))
    settings = locate_for_export(settings, find_task("segmentation"))
    assert num_records(settings.val_file_pattern) == 3, "other data is measured whole"
