"""`main.py` on classifiers: train, go on, evaluate, begin from a run, several labels, bad input."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from efficientvision.training.checkpoints import list_checkpoints
from efficientvision.training.run_log import read_results
from tests.made_class_records import made_class_record, picture, write_class_records
from tests.made_records import write_made_records

MODEL = "--model_name=shufflenetv2_s_0.1"
HPARAMS = "image_size=32,optimizer=adam,learning_rate=1e-3,lr_decay_method=cosine"


def run(repository, *arguments, program="main.py"):
    done = subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        env=None,
    )
    return done.returncode, done.stdout, done.stderr


def sentence_of(result):
    code, _, stderr = result
    assert code in (1, 2) and "Traceback" not in stderr, stderr[-2000:]
    (line,) = [text for text in stderr.splitlines() if text.startswith("error:")]
    return line


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 12), ("val", 6)):
        write_class_records(
            folder / f"{part}-00000-of-00001.tfrecord", (made_class_record(i) for i in range(count))
        )
    (folder / "labels.json").write_text(json.dumps({"1": "blue", "2": "green", "3": "red"}))
    return folder


@pytest.fixture(scope="module")
def trained(repository, data, tmp_path_factory):
    """A run of two epochs, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    code, stdout, stderr = run(
        repository,
        "--mode=train_and_eval",
        MODEL,
        f"--model_dir={folder}",
        f"--data_dir={data}",
        "--train_batch_size=4",
        "--num_epochs=2",
        f"--hparams={HPARAMS}",
    )
    assert code == 0, stderr[-3000:]
    return folder, stdout


def test_a_run_has_all_that_a_run_has(trained):
    folder, stdout = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "labels.json", "report.html", "results.csv", "best", "last"} <= names
    assert {"per_class.csv", "confusion_matrix.csv", "val_predictions.jpg"} <= names
    assert "num_classes=3, from the names beside the records." in stdout
    assert "6 steps of 4 images" in stdout  # An epoch is the 12 records, without a flag.
    rows = read_results(folder)
    assert [int(row["step"]) for row in rows] == [3, 6]
    assert 0 <= float(rows[-1]["top1"]) <= 1
    assert "task: classification" in (folder / "config.yaml").read_text()
    page = (folder / "report.html").read_text()
    assert "Best top-1" in page and "What images of each class were taken for" in page
    assert "IoU .50" not in page and "COCO metrics" not in page
    with Image.open(folder / "val_predictions.jpg") as sheet:
        assert sheet.width > 300


def test_evaluation_of_a_run_measures_what_the_run_measured(repository, trained, data, tmp_path):
    folder, _ = trained
    newest = list_checkpoints(folder)[-1]
    code, stdout, stderr = run(
        repository, "--mode=eval", f"--model_dir={newest}", f"--data_dir={data}"
    )
    assert code == 0, stderr[-3000:]
    top1 = float(read_results(folder)[-1]["top1"])
    assert f"top1 {top1:.4f}" in stdout


def test_a_run_goes_on_and_another_begins_from_it(repository, trained, data, tmp_path):
    folder, _ = trained
    shared = (f"--data_dir={data}", "--train_batch_size=4", f"--hparams={HPARAMS}", MODEL)
    code, stdout, stderr = run(
        repository, "--mode=train", f"--model_dir={folder}", "--num_epochs=3", *shared
    )
    assert code == 0, stderr[-3000:]
    assert "Going on from step 6 of 9" in stdout
    code, stdout, stderr = run(
        repository,
        "--mode=train",
        f"--model_dir={tmp_path}",
        "--num_epochs=1",
        f"--ckpt={folder}/best",
        *shared,
    )
    assert code == 0, stderr[-3000:]
    assert "Weights from" in stdout and len(list_checkpoints(tmp_path)) == 1


def test_detection_records_train_several_labels(repository, tmp_path):
    records = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 8)
    (tmp_path / "labels.json").write_text(json.dumps({"1": "dark", "2": "light"}))
    code, stdout, stderr = run(
        repository,
        "--mode=train_and_eval",
        MODEL,
        "--dataset=coco_multilabel",
        f"--model_dir={tmp_path / 'run'}",
        f"--train_file_pattern={records}",
        f"--val_file_pattern={records}",
        "--train_batch_size=4",
        "--num_epochs=1",
        f"--hparams={HPARAMS}",
    )
    assert code == 0, stderr[-3000:]
    assert "mAP" in stdout and "F_O" in stdout
    assert (tmp_path / "run" / "pr_curves.csv").is_file()


def test_bad_input_is_said_in_a_sentence(repository, data, tmp_path):
    shared = (MODEL, f"--model_dir={tmp_path}", "--mode=train")
    records = f"--train_file_pattern={data}/train*"
    wrong = run(repository, *shared, records, "--hparams=num_classes=2,image_size=32")
    assert "class 3 (red)" in (line := sentence_of(wrong)) and "set num_classes=3" in line
    wrong = run(repository, *shared, records, "--val_json_file=a.json")
    assert "--val_json_file is of other tasks" in sentence_of(wrong)
    photos = tmp_path / "photos" / "ant"
    photos.mkdir(parents=True)
    Image.fromarray(picture(0, 1)).save(photos / "1.png")
    wrong = run(repository, *shared, f"--data_dir={photos.parent}")
    assert "create_imagenet_tfrecord.py" in sentence_of(wrong)
