"""--runmode=export: files, table, exit code; exports evaluated by main.py; --tflite_path."""

import dataclasses
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from PIL import Image

from efficientvision.cli import evaluate
from efficientvision.cli.flags import define_train_flags
from efficientvision.data.record_files import iter_records
from efficientvision.data.records import decode_example
from efficientvision.detector import Detector
from efficientvision.export import artifacts
from efficientvision.tasks.detector import TESTDEV_NAME
from tests.filled_detector import textured_photo, write_filled_checkpoint
from tests.made_records import write_made_records
from tests.programs import inspect

HPARAMS = "image_size=128,fpn_cell_repeats=1,box_class_repeats=1"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Flags: a checkpoint, and photos to compare on."""
    folder = tmp_path_factory.mktemp("given")
    checkpoint = write_filled_checkpoint(folder / "run", shallow=True)
    (folder / "photos").mkdir()
    for index, hw in enumerate([(100, 140), (180, 90)]):
        photo = Image.fromarray(textured_photo(*hw, seed=index))
        photo.save(folder / "photos" / f"{index}.png")
    return [
        "--model_name=efficientdet-d0",
        f"--ckpt_path={checkpoint}",
        f"--hparams={HPARAMS}",
        f"--input_image={folder / 'photos'}",
        "--bm_runs=2",
        "--min_score_thresh=0.6",
    ]


@pytest.fixture(scope="module")
def litert():
    pytest.importorskip("ai_edge_litert")


def test_files_table_and_evaluation(given, tmp_path, capsys, litert, repository):
    records = write_made_records(tmp_path / "val.tfrecord", 4)
    formats = "saved_model,frozen,litert"
    wanted = [*given, f"--saved_model_dir={tmp_path / 'out'}", f"--format={formats}"]
    assert inspect("--runmode=export", *wanted, f"--val_file_pattern={records}") == 0
    printed = capsys.readouterr().out
    header, *lines = printed[printed.index("format ") :].splitlines()
    assert header.split() == "format file MB box px score differ ms AP AP50".split()
    table = {line.split()[0]: line.split() for line in lines}
    assert list(table) == formats.split(",")
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

    done = subprocess.run(
        [
            sys.executable,
            "main.py",
            "--mode=eval",
            f"--model_dir={tmp_path / 'out' / 'efficientdet-d0.tflite'}",
            f"--val_file_pattern={records}",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ap = table["litert"][-3]
    assert re.search(rf"AP +IoU \.50:\.95 +{re.escape(ap)}", done.stdout), (ap, done.stdout)
    check_test_server_results(tmp_path / "out" / "efficientdet-d0.tflite", records, tmp_path)


def check_test_server_results(export, records, folder):
    """The same command with --testdev_dir writes what the export detects."""
    given = flags.FlagValues()
    define_train_flags(given)
    results = [f"--testdev_dir={folder / 'results'}", "--eval_samples=3"]
    source = [f"--model_dir={export}", f"--val_file_pattern={records}"]
    given(["main.py", "--mode=eval", *source, *results])
    evaluate.run(given)
    rows = json.loads((folder / "results" / TESTDEV_NAME).read_text())
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


def test_beyond_the_tolerance_is_a_failure(given, tmp_path, capsys, monkeypatch, litert):
    strict = dataclasses.replace(artifacts.FORMATS["litert_fp16"], box_tolerance=1e-9)
    monkeypatch.setitem(artifacts.FORMATS, "litert_fp16", strict)
    wanted = ["--format=litert_fp16", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "beyond the tolerance: litert_fp16" in printed.err


def test_what_cannot_run_here_is_written_and_told(given, tmp_path, capsys, monkeypatch, litert):
    foreign = dataclasses.replace(artifacts.FORMATS["litert_fp16"], apple=True)
    monkeypatch.setitem(artifacts.FORMATS, "litert_fp16", foreign)
    monkeypatch.setattr("sys.platform", "linux")
    wanted = ["--format=litert_fp16", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("litert_fp16") and line.endswith("not run: macOS only")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".tflite"]


def test_tflite_path(given, tmp_path, capsys, litert):
    path = tmp_path / "phone" / "d0.tflite"
    flags_given = [f"--saved_model_dir={tmp_path / 'out'}", f"--tflite_path={path}"]
    without_photos = [flag for flag in given if not flag.startswith(("--input_image", "--bm"))]
    assert inspect("--runmode=saved_model", *without_photos, *flags_given) == 0
    assert f"LiteRT: {path}" in capsys.readouterr().out
    assert path.read_bytes()[4:8] == b"TFL3"


def test_soft_nms_is_for_saved_models(given, tmp_path, capsys, litert):
    wanted = ["--format=litert", "--nms_method=gaussian", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    assert "soft-NMS (gaussian) exists in SavedModels only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        ("tensorrt", "give NVIDIA's trtexec the file of --runmode=export --format=onnx"),
        ("onx", "--format=onx: unknown. Did you mean onnx"),
        (",", "--format names none of saved_model"),
    ],
)
def test_formats_that_cannot_be_written(given, tmp_path, capsys, names, answer):
    wanted = [f"--format={names}", f"--saved_model_dir={tmp_path / 'out'}"]
    assert inspect("--runmode=export", *given, *wanted) == 1
    assert answer in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
