"""`main.py` on SSDs: train, evaluate, go on, begin from a run, bad input."""

import json

import pytest

from efficientvision.training.checkpoints import list_checkpoints
from efficientvision.training.run_log import read_results
from tests.cli.test_classification import run, sentence_of
from tests.made_records import write_made_records

MODEL = ("--task=detection", "--model_name=shufflenetv2_s_0.1")
HPARAMS = "image_size=64,optimizer=adam,learning_rate=1e-3,lr_decay_method=cosine"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 12), ("val", 6)):
        write_made_records(folder / f"{part}-00000-of-00001.tfrecord", count)
    (folder / "labels.json").write_text(json.dumps({"1": "odd", "2": "even"}))
    return folder


@pytest.fixture(scope="module")
def trained(repository, data, tmp_path_factory):
    """A run of two epochs, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    code, stdout, stderr = run(
        repository,
        "--mode=train_and_eval",
        *MODEL,
        f"--model_dir={folder}",
        f"--data_dir={data}",
        "--train_batch_size=4",
        "--num_epochs=2",
        f"--hparams={HPARAMS}",
    )
    assert code == 0, stderr[-3000:]
    return folder, stdout


@pytest.mark.slow
def test_a_run_has_all_that_a_run_has(trained):
    folder, stdout = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "labels.json", "report.html", "results.csv", "best", "last"} <= names
    assert {"per_class.csv", "confusion_matrix.csv", "val_predictions.jpg"} <= names
    assert "num_classes=3, from the names beside the records: 2 and the background." in stdout
    assert "num_classes=3 (2 and the background)" in stdout
    assert "of the boxes overlap a prior by half or more" in stdout
    rows = read_results(folder)
    assert [int(row["step"]) for row in rows] == [3, 6]
    assert 0 <= float(rows[-1]["AP"]) <= 1 and 0 <= float(rows[-1]["VOC07_mAP"]) <= 1
    assert "PASCAL VOC" in stdout
    page = (folder / "report.html").read_text()
    assert "2 classes" in page and "3 classes" not in page
    assert "PASCAL VOC mAP of 2007" in page


@pytest.mark.slow
def test_evaluation_of_a_run_measures_what_the_run_measured(repository, trained, data):
    folder, _ = trained
    newest = list_checkpoints(folder)[-1]
    code, stdout, stderr = run(
        repository, "--mode=eval", f"--model_dir={newest}", f"--data_dir={data}"
    )
    assert code == 0, stderr[-3000:]
    ap50 = 100 * float(read_results(folder)[-1]["AP50"])
    (line,) = [text for text in stdout.splitlines() if text.startswith("AP    IoU .50 ")]
    assert float(line.split()[-1]) == pytest.approx(ap50, abs=0.051)


@pytest.mark.slow
def test_a_run_goes_on_and_another_begins_from_it(repository, trained, data, tmp_path):
    folder, _ = trained
    shared = (
        f"--data_dir={data}",
        "--train_batch_size=4",
        "--num_examples_per_epoch=12",
        f"--hparams={HPARAMS}",
        *MODEL,
    )
    code, stdout, stderr = run(
        repository, "--mode=train", f"--model_dir={folder}", "--num_epochs=3", *shared
    )
    assert code == 0, stderr[-3000:]
    assert "Going on from step 6 of 9" in stdout
    other = tmp_path / "data"
    other.mkdir()
    write_made_records(other / "train-00000-of-00001.tfrecord", 12)
    (other / "labels.json").write_text(json.dumps({"1": "even", "2": "new"}))
    code, stdout, stderr = run(
        repository,
        "--mode=train",
        f"--model_dir={tmp_path / 'run'}",
        "--num_epochs=1",
        f"--ckpt={folder}/best",
        *shared,
        f"--data_dir={other}",
    )
    assert code == 0, stderr[-3000:]
    assert "1 of 2 classes matched by name: even; new: new" in stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--test_scales=1,1.5", "--mode=eval"], "fill its input"),
        (["--hparams=freeze=fpn"], "an SSD has no fpn"),
        (["--hparams=num_classes=2"], "num_classes=3"),
        (["--hparams=anchor_scale=2"], "anchor_scale"),
        (["--dataset=city"], "an SSD has pascal and coco"),
    ],
)
def test_bad_input_is_said_in_a_sentence(repository, data, tmp_path, flags, says):
    result = run(
        repository, *MODEL, f"--model_dir={tmp_path / 'run'}", f"--data_dir={data}", *flags
    )
    assert says in sentence_of(result)
    assert not (tmp_path / "run").exists()
