"""`main.py` on segmentation: train, go on, evaluate, begin from a run, CamVid, bad input."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.mask_records import MaskExample, encode_mask, encode_mask_example
from efficientvision.training.checkpoints import list_checkpoints
from efficientvision.training.run_log import read_results
from tests.cli.test_classification import run, sentence_of
from tests.conftest import REPOSITORY
from tests.made_class_records import write_class_records
from tests.made_mask_records import encoded, picture, write_records

MODEL = ("--task=segmentation", "--model_name=shufflenetv2_s_0.1")
HPARAMS = "image_size=64x32,learning_rate=1e-3,lr_decay_method=cosine"
NAMES = {"0": "sky", "1": "sea", "2": "sand", "3": "wood"}
CAMVID = json.loads((REPOSITORY / "tests/goldens/edgenets/camvid_zero_shot.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 8), ("val", 3)):
        write_records(folder / f"{part}-00000-of-00001.tfrecord", count, ((40, 56), (48, 40)))
    (folder / "labels.json").write_text(json.dumps(NAMES))
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
        f"--hparams={HPARAMS},class_weights=data,auxiliary=true",
    )
    assert code == 0, stderr[-3000:]
    return folder, stdout


def test_a_run_has_all_that_a_run_has(trained):
    folder, stdout = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "labels.json", "report.html", "results.csv", "best", "last"} <= names
    assert {"per_class.csv", "confusion_matrix.csv", "val_predictions.jpg"} <= names
    assert "num_classes=4, from the names beside the records." in stdout
    assert "Weights of the classes: " in stdout and "train windows" in stdout
    assert "4 steps of 4 images" in stdout  # An epoch is the 8 records, without a flag.
    rows = read_results(folder)
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert 0 <= float(rows[-1]["miou"]) <= 1
    page = (folder / "report.html").read_text()
    assert "Best mIoU" in page and "What pixels of each class were taken for" in page
    assert "COCO metrics" not in page and "top-1" not in page
    with Image.open(folder / "val_predictions.jpg") as sheet:
        assert sheet.width > 300


def test_evaluation_of_a_run_measures_what_the_run_measured(repository, trained, data):
    folder, _ = trained
    newest = list_checkpoints(folder)[-1]
    code, stdout, stderr = run(
        repository, "--mode=eval", f"--model_dir={newest}", f"--data_dir={data}"
    )
    assert code == 0, stderr[-3000:]
    assert f"miou {float(read_results(folder)[-1]['miou']):.4f}" in stdout


def test_a_run_goes_on(repository, trained, data):
    folder, _ = trained
    code, stdout, stderr = run(
        repository,
        "--mode=train",
        *MODEL,
        f"--model_dir={folder}",
        f"--data_dir={data}",
        "--train_batch_size=4",
        "--num_epochs=3",
        f"--hparams={HPARAMS}",
    )
    assert code == 0, stderr[-3000:]
    assert "Going on from step 4 of 6" in stdout


def test_other_classes_begin_from_a_run(repository, trained, data, tmp_path):
    """Two of them have the names of before; the pyramids keep their width."""
    records = write_records(tmp_path / "train.tfrecord", 4)
    names = ["wood", "rock", "snow", "sky", "lake", "fog"]
    (tmp_path / "labels.json").write_text(json.dumps(dict(enumerate(names))))
    code, stdout, stderr = run(
        repository,
        "--mode=train",
        *MODEL,
        f"--model_dir={tmp_path / 'run'}",
        f"--ckpt={trained[0]}/best",
        f"--train_file_pattern={records}",
        "--train_batch_size=4",
        "--num_epochs=1",
        f"--hparams={HPARAMS},freeze_bn=true",
    )
    assert code == 0, stderr[-3000:]
    assert "pyramid_width=2 (read from the checkpoint)" in stdout
    assert "2 of 6 classes matched by name: wood, sky" in stdout
    assert re.search(r"Frozen: \d+ batch norms", stdout)


def test_predictions_for_the_test_servers(repository, trained, tmp_path):
    for name in ("berlin_000000_000019_leftImg8bit", "bonn_000001_000019_leftImg8bit"):
        Image.fromarray(picture(1, (30, 70))[0]).save(tmp_path / f"{name}.png")
    code, stdout, stderr = run(
        repository,
        "--mode=eval",
        f"--ckpt={trained[0]}/best",
        f"--val_file_pattern={tmp_path}/*.png",
        f"--testdev_dir={tmp_path / 'out'}",
    )
    assert code == 0, stderr[-3000:]
    assert "2 predictions in" in stdout
    with Image.open(tmp_path / "out" / "bonn_000001_000019_leftImg8bit.png") as written:
        assert written.mode == "P" and written.size == (70, 30)
        assert set(np.unique(np.asarray(written))) <= {0, 1, 2, 3}


def test_bad_input_is_said_in_a_sentence(repository, trained, data, tmp_path):
    shared = (*MODEL, f"--model_dir={tmp_path}", "--mode=train", "--preflight=false")
    records = f"--train_file_pattern={data}/train*"
    line = sentence_of(run(repository, *shared, records, f"--hparams=num_classes=3,{HPARAMS}"))
    assert "has class 3" in line and "set num_classes=4" in line
    line = sentence_of(run(repository, *shared, records, "--val_json_file=a.json"))
    assert "--val_json_file is for detection" in line
    names = tmp_path / "named"
    names.mkdir()
    write_records(names / "val.tfrecord", 1)
    (names / "labels.json").write_text(json.dumps({"0": "sea", "1": "sky", "2": "a", "3": "b"}))
    evaluation = ("--mode=eval", f"--model_dir={trained[0]}/best")
    line = sentence_of(run(repository, *evaluation, f"--val_file_pattern={names}/val*"))
    assert "say which is which with class_map" in line
    line = sentence_of(run(repository, *evaluation, f"--ckpt={trained[0]}", f"--data_dir={data}"))
    assert "leave one of them out" in line


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CAMVID if name != "note"])
def test_published_networks_on_camvid(repository, shared_dir, tmp_path, name):
    """The original's mIoU of all frames, computed with its own code."""
    weights = shared_dir / "weights/edgenets" / f"{name.partition('/')[0]}.pth"
    if not weights.is_file():
        pytest.skip(f"needs the weights {weights.name}")
    examples = []
    for photo in sorted((shared_dir / "data/camvid/images").iterdir()):
        mask = np.array(Image.open(shared_dir / "data/camvid/labels" / photo.name))
        image = np.asarray(Image.open(photo).convert("RGB"))
        height, width = mask.shape
        mask[mask == 11] = 255
        fields = (encoded(image), "png", photo.name, photo.stem, height, width, encode_mask(mask))
        examples.append(encode_mask_example(MaskExample(*fields)))
    write_class_records(tmp_path / "camvid.tfrecord", examples)
    classes = CAMVID["note"]["camvid_classes"][:11]
    (tmp_path / "labels.json").write_text(json.dumps(dict(enumerate(classes))))
    code, stdout, stderr = run(
        repository,
        "--mode=eval",
        "--task=segmentation",
        f"--ckpt={weights}",
        f"--val_file_pattern={tmp_path}/camvid.tfrecord",
        "--hparams=hparams/camvid_from_cityscapes.yaml",
    )
    assert code == 0, stderr[-3000:]
    golden = CAMVID[name]
    assert float(re.search(r"miou (\S+)", stdout)[1]) == pytest.approx(golden["miou"], abs=1e-3)
    for row, iou in zip(classes, golden["iou"], strict=True):
        assert float(re.search(rf"{row} (\S+)", stdout)[1]) == pytest.approx(iou, abs=5e-3)
