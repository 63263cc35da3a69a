"""The data of a run is noted in its folder, and an export takes it from there."""

import pytest

from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.runs import calls
from efficientvision.runs import export as exporting
from efficientvision.runs.run_data import RunData, read_data, write_data


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
