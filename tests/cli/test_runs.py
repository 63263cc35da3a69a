"""`main.py` on a run of every task: train, evaluate, go on, begin from a run, bad input."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from efficientvision.report import observer
from efficientvision.runs import evaluate
from efficientvision.runs import train as train_command
from efficientvision.training.checkpoints import list_checkpoints, read_checkpoint
from efficientvision.training.run_log import read_results
from tests.made_class_records import picture as class_picture
from tests.made_mask_records import picture as mask_picture
from tests.made_records import write_made_records
from tests.programs import Done, error_line, train_program
from tests.trained_runs import (
    CASES,
    STEPS,
    data_folder,
    eagerly,
    train,
    trained_run,
    write_task_records,
)


def slow_but(*fast):
    """Every task; what the others show of a network, tests of its parts show too."""
    slow = [pytest.param(task, marks=pytest.mark.slow) for task in CASES if task not in fast]
    return pytest.mark.parametrize("task", [*fast, *slow])


@pytest.fixture
def run(task):
    """The folder of the task's run."""
    return trained_run(task)[0]


@pytest.fixture
def quick(run, monkeypatch):  # The run comes first, as it is for all tests.
    """Steps without tracing, and no report: the trained runs have theirs."""
    monkeypatch.setattr(train_command, "run_callbacks", lambda *_: [])
    with eagerly():
        yield


def printed(done: Done) -> str:
    """What a program said that went well."""
    assert done.code == 0, done.stderr[-3000:]
    return done.stdout


SAYS = {
    "classification": (
        "num_classes=3 (from the class names beside the records).",
        "4 steps of 2 images",  # An epoch is the 4 records, without a flag.
    ),
    "segmentation": (
        "num_classes=4 (from the class names beside the records).",
        "Class weights: ",
        "train crops",
        "4 steps of 2 images",
    ),
    "ssd": (
        "num_classes=3 (from the class names beside the records: 2 and the background).",
        "num_classes=3 (2 and the background)",
        "75% of the boxes overlap a prior by half or more",
        "PASCAL VOC",
    ),
    "efficientdet": ("Learning rate: learning_rate=0.08 is for batches of 64; at 2 it is 0.0025",),
}
# What the page of each task's run has, and what it has not.
PAGES = {
    "classification": (
        ("Best top-1", "Images by true class (rows) and predicted class"),
        ("IoU .50", "COCO metrics"),
    ),
    "segmentation": (
        ("Best mIoU", "Pixels by true class (rows) and predicted class"),
        ("COCO metrics", "top-1"),
    ),
    "ssd": (("2 classes", "PASCAL VOC mAP of 2007"), ("3 classes",)),
    "efficientdet": (("2 classes", "COCO metrics"), ("PASCAL VOC", "top-1")),
}


@slow_but("classification", "efficientdet")
def test_a_run_has_all_that_a_run_has(task):
    folder, text = trained_run(task)
    text = " ".join(text.split())  # The preflight's lines are wrapped.
    assert {
        *("config.yaml", "labels.json", "command.txt", "results.csv", "losses.csv", "report.html"),
        *("per_class.csv", "confusion_matrix.csv", "train_batch.jpg", "val_predictions.jpg"),
        *("archive", "train", "eval", "last", "best"),
    } <= {path.name for path in folder.iterdir()}
    for words in SAYS[task]:
        assert words in text
    own = "segmentation" if task == "segmentation" else "classification"
    own = own if task in ("segmentation", "classification") else "detection"
    assert f"task: {own}" in (folder / "config.yaml").read_text()
    names = {str(number): name for number, name in CASES[task].names.items()}
    assert json.loads((folder / "labels.json").read_text()) == names

    rows = read_results(folder)
    assert [(row["step"], row["epoch"]) for row in rows] == [("2", "1"), ("4", "2")]
    metrics = [CASES[task].metric, *(["VOC07_mAP"] if task == "ssd" else [])]
    for metric in metrics:
        assert all(0 <= float(row[metric]) <= 1 for row in rows)
    best = max(float(row[CASES[task].metric]) for row in rows)
    assert float((folder / "best_objective.txt").read_text()) == pytest.approx(best, abs=1e-6)
    archived = json.loads((folder / "archive" / "best_eval.txt").read_text())
    assert archived["images"] == 3
    if task in ("ssd", "efficientdet"):
        assert "AP_/odd" in archived

    page = (folder / "report.html").read_text()
    has, has_not = PAGES[task]
    assert all(words in page for words in has)
    assert not any(words in page for words in has_not)
    with Image.open(folder / "val_predictions.jpg") as sheet:
        assert sheet.width > 300


@slow_but("efficientdet")
def test_evaluation_of_a_run_measures_what_the_run_measured(task, run, tmp_path, monkeypatch):
    if task != "classification":
        monkeypatch.setattr(evaluate, "build_report", str)
    folder = shutil.copytree(run, tmp_path / "run")
    with eagerly():
        text = printed(
            train_program("--mode=eval", f"--model_dir={folder}", f"--data_dir={data_folder(task)}")
        )
    assert f"Step {STEPS} of {STEPS}" in text
    assert f"Report: {folder}" in text and (folder / "evaluations.csv").is_file()
    last = read_results(folder)[-1]
    if task in ("ssd", "efficientdet"):
        (line,) = [words for words in text.splitlines() if words.startswith("AP    IoU .50 ")]
        assert float(line.split()[-1]) == pytest.approx(100 * float(last["AP50"]), abs=0.051)
        assert "even" in text
    else:
        metric = CASES[task].metric
        assert re.search(rf"\b{metric} +{100 * float(last[metric]):.1f} ", text)


@slow_but("efficientdet")
def test_a_run_goes_on(task, run, tmp_path, quick):
    """With the network that it began with: the hyper-parameters for that are not given again."""
    folder = shutil.copytree(run, tmp_path / "run")
    before = read_checkpoint(folder)
    flags = ("--preflight=false", "--num_examples_per_epoch=2")
    text = printed(train(task, folder, *flags, epochs=STEPS + 1))
    assert f"Resuming from step {STEPS} of {STEPS + 1}" in text
    assert f"Done: {STEPS + 1} steps" in text
    after = read_checkpoint(folder)
    assert after.step == STEPS + 1 and after.weights.keys() == before.weights.keys()
    if task == "classification":
        assert "finished" in printed(train(task, folder, *flags, epochs=STEPS + 1))


OTHERS = {
    "classification": {1: "blue", 2: "green", 3: "red"},
    "segmentation": dict(enumerate(["wood", "rock", "snow", "sky", "lake", "fog"])),
    "ssd": {1: "even", 2: "new"},
    "efficientdet": {1: "even", 2: "new"},
}
# The widths of a segmenter's pyramids stay as they are, whatever the number of classes.
BEGINS = {
    "classification": ("Weights from",),
    "segmentation": (
        "pyramid_width=2 (read from the checkpoint)",
        "2 of 6 classes matched by name: wood, sky",
    ),
    "ssd": ("1 of 2 classes matched by name: even; new: new",),
    "efficientdet": (
        "fpn_num_filters=16 (read from the checkpoint)",
        "1 of 2 classes matched by name: even; new: new",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", CASES)
def test_other_classes_begin_from_a_run(task, run, tmp_path, quick):
    data = tmp_path / "data"
    data.mkdir()
    write_task_records(data / "train-00000-of-00001.tfrecord", task, 3)
    (data / "labels.json").write_text(json.dumps(OTHERS[task]))
    options = ("--preflight=false", "--num_examples_per_epoch=2")
    more = {"segmentation": ",freeze_bn=true", "efficientdet": ",num_classes=2"}.get(task, "")
    text = printed(
        train(
            task,
            tmp_path / "run",
            f"--start_from={run}/best",
            f"--data_dir={data}",
            *options,
            more=more,
        )
    )
    for words in BEGINS[task]:
        assert words in text
    assert bool(re.search(r"Frozen: \d+ batch norms", text)) == (task == "segmentation")
    assert len(list_checkpoints(tmp_path / "run")) == 1
    assert read_checkpoint(tmp_path / "run").step == 1


BAD_INPUT = [
    ("classification", "num_classes=2", "", ("class 3 (red)", "set num_classes=3")),
    (
        "classification",
        "",
        "--val_json_file=a.json",
        ("--val_json_file does not apply to a classifier",),
    ),
    ("segmentation", "num_classes=3", "--preflight=false", ("has class 3", "set num_classes=4")),
    (
        "segmentation",
        "",
        "--val_json_file=a.json",
        ("--val_json_file does not apply to segmentation",),
    ),
    ("segmentation", "", "--mode=eval --ckpt=run", ("name two: remove one",)),
    ("ssd", "", "--test_scales=1,1.5 --mode=eval", ("fill the input",)),
    ("ssd", "freeze=fpn", "", ("an SSD has no fpn",)),
    ("ssd", "num_classes=2", "", ("num_classes=3",)),
    ("ssd", "anchor_scale=2", "", ("anchor_scale",)),
    ("ssd", "", "--dataset=city", ("does not apply to SSD: use pascal or coco",)),
    ("efficientdet", "num_classes=1", "", ("num_classes=1", "num_classes=2")),
    ("efficientdet", "", "--train_file_pattern=nowhere*", ("nowhere*",)),
    ("efficientdet", "", "--mode=trian", ("trian", "train")),
    ("efficientdet", "", "--ckpt=a --backbone_ckpt=b", ("--backbone_ckpt", "exclude each other")),
    (
        "efficientdet",
        "num_classes=2,early_stopping_patience=2",
        "",
        ("early_stopping_patience=2", "--mode=train_and_eval"),
    ),
]


@pytest.mark.parametrize(("task", "hparams", "flags", "says"), BAD_INPUT)
def test_bad_input_is_said_in_a_sentence(tmp_path, task, hparams, flags, says):
    more = f",{hparams}" if hparams else ""
    done = train(task, tmp_path / "run", *flags.split(), more=more)
    assert done.code == 1
    line = error_line(done)
    assert all(words in line for words in says), line
    assert not (tmp_path / "run").exists()


# What one task alone has.


def test_labels_of_another_kind_are_named(tmp_path):
    photos = tmp_path / "photos" / "ant"
    photos.mkdir(parents=True)
    Image.fromarray(class_picture(0, 1)).save(photos / "1.png")
    done = train("segmentation", tmp_path / "run", f"--data_dir={photos.parent}")
    assert "It has classes (class folders: ant/), which suit classifiers" in error_line(done)
    done = train("classification", tmp_path / "run", "--data_dir=", "--val_fraction=0.2")
    assert "--val_fraction needs --data_dir" in error_line(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.slow
def test_detection_records_train_several_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(observer, "build_report", str)
    records = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 4)
    (tmp_path / "labels.json").write_text(json.dumps({"1": "dark", "2": "light"}))
    data = ("--data_dir=", f"--train_file_pattern={records}", f"--val_file_pattern={records}")
    mode = ("--mode=train_and_eval", "--dataset=coco_multilabel")
    with eagerly():
        text = printed(train("classification", tmp_path / "run", *mode, *data))
    assert "mAP" in text and "F_O" in text
    assert (tmp_path / "run" / "pr_curves.csv").is_file()


@pytest.mark.parametrize("task", ["segmentation"])
def test_predictions_for_the_test_servers(task, run, tmp_path):
    for name in ("berlin_000000_000019_leftImg8bit", "bonn_000001_000019_leftImg8bit"):
        Image.fromarray(mask_picture(1, (30, 70))[0]).save(tmp_path / f"{name}.png")
    with eagerly():
        text = printed(
            train_program(
                "--mode=eval",
                f"--ckpt={run}/best",
                f"--val_file_pattern={tmp_path}/*.png",
                f"--testdev_dir={tmp_path / 'out'}",
            )
        )
    assert "2 predictions written to" in text
    with Image.open(tmp_path / "out" / "bonn_000001_000019_leftImg8bit.png") as written:
        assert written.mode == "P" and written.size == (70, 30)
        assert set(np.unique(np.asarray(written))) <= {0, 1, 2, 3}
