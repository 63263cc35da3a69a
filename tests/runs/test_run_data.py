"""The data of a run is noted in its folder, and an export takes it from there."""

import pytest

from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.runs import calls
from efficientvision.runs import export as exporting
from efficientvision.runs.evaluate import is_own_data
from efficientvision.runs.run_data import (
    RunData,
    as_the_run,
    read_data,
    reading_options,
    tell_changed_data,
    write_data,
)


@pytest.fixture
def records(tmp_path):
    for part in ("train", "val"):
        (tmp_path / f"{part}-00000-of-00001.tfrecord").write_bytes(b"")
    return tmp_path


@pytest.fixture
def run(records, monkeypatch):
    monkeypatch.chdir(records)
    options = options_from({"train_file_pattern": "train*", "val_file_pattern": "val*"})
    write_data(str(records / "run"), options)
    return records / "run"


def test_patterns_are_found_from_any_folder(run, records, monkeypatch):
    monkeypatch.chdir("/")
    assert read_data(run) == RunData(f"{records}/train*", f"{records}/val*")
    (run / "archive").mkdir()
    assert read_data(run / "archive").evaluation == f"{records}/val*"
    (records / "val-00000-of-00001.tfrecord").unlink()
    assert read_data(run) == RunData(f"{records}/train*")
    (run / "data.json").write_text("[]")
    assert read_data(run) == read_data(records / "nowhere") == RunData()


def test_an_export_takes_the_data_of_the_run(run, records, monkeypatch):
    asked = []
    monkeypatch.setattr(exporting, "run", asked.append)
    calls.export(run, ["litert_int8", "onnx"])
    calls.export(run, "onnx", verify="other*")
    with_own, with_other = asked
    assert with_own.val_file_pattern == f"{records}/val*"
    assert with_own.calibration_file_pattern == f"{records}/train*"
    assert with_other.val_file_pattern == "other*"
    assert with_other.calibration_file_pattern is None
    with pytest.raises(UserError, match="Set `photos` or `verify`"):
        calls.export(records, "onnx")


def _options(**more):
    return options_from({"model_name": "efficientdet-d0", "mode": "eval", **more})


def test_the_same_photos_stay_held_out(run, records, caplog):
    """An evaluation reads the data as the run has, unless the user says otherwise."""
    caplog.set_level("INFO")
    began = options_from({"data_dir": "photos/", "split_seed": 7, "val_file_pattern": "val*"})
    write_data(str(run), began)
    assert reading_options(run, records / "photos") == {"split_seed": 7}
    assert reading_options(run, records / "others") is None
    taken = as_the_run(_options(model_dir=str(run), data_dir="photos"))
    assert taken.split_seed == 7 and "As in this run: `split_seed=7`" in caplog.text
    assert as_the_run(_options(model_dir=str(run), data_dir="photos", split_seed=1)).split_seed == 1
    assert as_the_run(_options(model_dir=str(run), data_dir="others")).split_seed is None
    # A folder without a checkpoint is no run that could be resumed.
    new = _options(model_dir=str(run), data_dir="photos").replace(mode="train")
    assert as_the_run(new).split_seed is None
    caplog.clear()
    tell_changed_data(taken.replace(val_file_pattern="val*"))
    assert not caplog.text
    tell_changed_data(taken.replace(val_file_pattern="other*"))
    assert "was converted again since this run began" in caplog.text


def test_only_the_runs_own_photos_decide_on_its_best_checkpoint(run, records):
    assert is_own_data("val*", str(run))
    assert is_own_data(f"{records}/val-*.tfrecord", str(run / "best"))
    assert not is_own_data("train*", str(run))
    assert is_own_data("train*", str(records / "nowhere")), "unknown"
