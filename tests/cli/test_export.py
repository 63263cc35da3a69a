"""--runmode=export: files, table, exit code; exports evaluated by main.py; --tflite_path."""

import copy
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.record_files import iter_records
from efficientvision.data.records import decode_example
from efficientvision.exports import artifacts
from efficientvision.runs import inspection
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.detection.training_task import TESTDEV_NAME
from tests.filled_detector import filled_detector, textured_photo
from tests.made_records import write_made_records
from tests.programs import inspect, train_program
from tests.small_networks import small_networks_instead as small_networks_instead


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Flags: a network, and photos to compare on."""
    folder = tmp_path_factory.mktemp("photos")
    for index, hw in enumerate([(100, 140), (180, 90)]):
        Image.fromarray(textured_photo(*hw, seed=index)).save(folder / f"{index}.png")
    return [
        "--ckpt_path=detector",
        f"--input_image={folder}",
        "--bm_runs=2",
        "--min_score_thresh=0.6",
    ]


@pytest.fixture(scope="module")
def litert():
    pytest.importorskip("ai_edge_litert")


@pytest.mark.usefixtures("small_networks_instead")
def test_files_table_and_evaluation(given, tmp_path, capsys, litert):
    records = write_made_records(tmp_path / "val.tfrecord", 4)
    formats = "saved_model,frozen,litert"
    wanted = [*given, f"--saved_model_dir={tmp_path / 'out'}", f"--format={formats}"]
    assert inspect("--runmode=export", *wanted, f"--val_file_pattern={records}") == 0
    printed = capsys.readouterr().out
    header, *lines = printed[printed.index("format ") :].splitlines()
    assert header.split() == "format file MB box px score differ ms AP AP50".split()
    table = {line.split()[0]: line.split() for line in lines}
    assert list(table) == ["network", *formats.split(",")]
    for name, path in (
        ("saved_model", "saved_model"),
        ("frozen", "saved_model/efficientdet-d0_frozen.pb"),
        ("litert", "efficientdet-d0.tflite"),
    ):
        assert table[name][1] == str(tmp_path / "out" / path)
        assert (tmp_path / "out" / path).exists()
        assert float(table[name][3]) < 0.1
        assert table[name][-1] == "ok"
    differ, detections = re.search(r"(\d+) of (\d+)", " ".join(table["litert"])).groups()
    assert (int(differ), int(detections) > 20) == (0, True)

    export = tmp_path / "out" / "efficientdet-d0.tflite"
    evaluation = ["--mode=eval", f"--model_dir={export}", f"--val_file_pattern={records}"]
    done = train_program(*evaluation)
    assert done.code in (None, 0), done.stderr
    ap = table["litert"][-3]
    assert re.search(rf"AP +IoU \.50:\.95 +{re.escape(ap)}", done.stdout), (ap, done.stdout)

    # With --testdev_dir the same command writes what the export detects.
    done = train_program(*evaluation, f"--testdev_dir={tmp_path / 'results'}", "--eval_samples=3")
    assert done.code in (None, 0), done.stderr
    rows = json.loads((tmp_path / "results" / TESTDEV_NAME).read_text())
    assert {row["image_id"] for row in rows} == {1, 2, 3}
    record = next(iter_records(str(records)))
    photo = Image.open(io.BytesIO(decode_example(record).encoded))
    detections = Detector.from_checkpoint(str(export), min_score_thresh=0)(photo)
    expected = [
        (d.box_yxyx[1], d.box_yxyx[0], d.box_yxyx[3] - d.box_yxyx[1], d.box_yxyx[2] - d.box_yxyx[0])
        for d in detections
    ]
    found = [row["bbox"] for row in rows if row["image_id"] == 1]
    np.testing.assert_allclose(found, expected, atol=0.006)


@pytest.mark.slow
def test_an_efficientdet(given, tmp_path, capsys, monkeypatch, litert):
    """As published but for its depth."""
    loaded = filled_detector()
    copied = dataclasses.replace(loaded, config=copy.deepcopy(loaded.config))
    monkeypatch.setattr(inspection, "load_model", lambda *_, **__: copied)
    wanted = [*given, f"--saved_model_dir={tmp_path}", "--format=litert"]
    assert inspect("--runmode=export", *wanted) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^litert .* 0 of (2[1-9]|[3-9]\d|\d{3}) .* ok$", printed, re.MULTILINE), (
        printed
    )


def test_any_number_of_images_is_for_tensorflows_formats(given, tmp_path, capsys):
    wanted = ["--batch_size=0", "--format=saved_model,onnx", f"--saved_model_dir={tmp_path}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    assert "--batch_size=0: onnx need a fixed batch size" in capsys.readouterr().err


@pytest.mark.usefixtures("small_networks_instead")
def test_beyond_the_tolerance_is_a_failure(given, tmp_path, capsys, monkeypatch, litert):
    strict = dataclasses.replace(artifacts.FORMATS["litert_fp16"], box_tolerance=1e-9)
    monkeypatch.setitem(artifacts.FORMATS, "litert_fp16", strict)
    wanted = ["--format=litert_fp16", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "out of tolerance: litert_fp16" in printed.err


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks_instead")
def test_where_it_is_measured_the_metric_decides(given, tmp_path, capsys, monkeypatch, litert):
    records = write_made_records(tmp_path / "val.tfrecord", 4)
    for loss, code in ((0.5, 0), (-0.5, 1)):
        strict = dataclasses.replace(
            artifacts.FORMATS["litert_fp16"], box_tolerance=1e-9, metric_tolerance=loss
        )
        monkeypatch.setitem(artifacts.FORMATS, "litert_fp16", strict)
        wanted = ["--format=litert_fp16", f"--saved_model_dir={tmp_path / 'out'}"]
        wanted += [f"--val_file_pattern={records}", *given]
        assert inspect("--runmode=export", *wanted) == code
        printed = capsys.readouterr()
        assert ("FAILED" in printed.out) == bool(code)
        assert re.search(r"^network +[\d.]+ +[\d.]+$", printed.out, re.MULTILINE)
    assert re.search(r"litert_fp16: AP is -?0\.\d points below the network's: use", printed.err)


@pytest.mark.usefixtures("small_networks_instead")
def test_integers_are_held_to_the_network_too(given, tmp_path, capsys, monkeypatch, litert):
    strict = dataclasses.replace(artifacts.FORMATS["litert_int8"], differ_tolerance=-1.0)
    monkeypatch.setitem(artifacts.FORMATS, "litert_int8", strict)
    wanted = ["--format=litert_int8", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    error = capsys.readouterr().err
    assert "litert_int8: differs" in error and "--calibration_file_pattern" in error


@pytest.mark.usefixtures("small_networks_instead")
def test_what_cannot_run_here_is_written_and_told(given, tmp_path, capsys, monkeypatch, litert):
    foreign = dataclasses.replace(artifacts.FORMATS["litert_fp16"], apple=True)
    monkeypatch.setitem(artifacts.FORMATS, "litert_fp16", foreign)
    monkeypatch.setattr("sys.platform", "linux")
    wanted = ["--format=litert_fp16", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("litert_fp16") and line.endswith("not run: macOS only")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".tflite"]


@pytest.mark.usefixtures("small_networks_instead")
def test_tflite_path(given, tmp_path, capsys, litert):
    path = tmp_path / "phone" / "d0.tflite"
    flags_given = [f"--saved_model_dir={tmp_path / 'out'}", f"--tflite_path={path}"]
    without_photos = [flag for flag in given if not flag.startswith(("--input_image", "--bm"))]
    assert inspect("--runmode=saved_model", *without_photos, *flags_given) == 0
    assert f"LiteRT: {path}" in capsys.readouterr().out
    assert path.read_bytes()[4:8] == b"TFL3"


@pytest.mark.usefixtures("small_networks_instead")
def test_soft_nms_is_for_saved_models(given, tmp_path, capsys, litert):
    wanted = ["--format=litert", "--nms_method=gaussian", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    assert "soft-NMS (gaussian) is available in SavedModels only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        ("tensorrt", "export with --runmode=export --format=onnx --nms=none and convert"),
        ("onx", "--format=onx: unknown. Did you mean onnx"),
        (",", "--format is empty: use one or more of saved_model"),
    ],
)
def test_formats_that_cannot_be_written(given, tmp_path, capsys, names, answer):
    wanted = [f"--format={names}", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    assert answer in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
