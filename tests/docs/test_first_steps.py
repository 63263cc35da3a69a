"""The first commands of the documentation, typed as they stand, on a few small pictures.

Only the size of the training is added: one step of small images.
"""

import contextlib
import functools
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import efficientvision
from demo.make_shapes import make_scene
from efficientvision.cli import command
from tests.docs.markdown_pages import blocks, commands

pytestmark = pytest.mark.slow

SMALL = {
    "num_epochs": 1,
    "image_size": 128,
    "num_examples_per_epoch": 8,
    "train_batch_size": 8,
    "preflight": "false",
}
PREDICTIONS = ("predictions.json", "predictions.csv")


def type_in(words):
    """`efficientvision <words>`; a training is small."""
    small = [f"--{name}={value}" for name, value in SMALL.items()] if words[0] == "train" else []
    with pytest.raises(SystemExit) as ended:
        command.main([*words, *small])
    assert ended.value.code in (0, None), words


def commands_of(page, *, about=""):
    """The command lines of `efficientvision` on a page, without the program."""
    found = [words for block in blocks(page) for words in commands(block)]
    return [w[1:] for w in found if w[0] == "efficientvision" and about in " ".join(w)]


def python_of(page):
    return [block.text for block in blocks(page) if block.language == "python"]


def run_python(text, monkeypatch):
    small = functools.partial(efficientvision.train, **SMALL)
    monkeypatch.setattr(efficientvision, "train", small, raising=False)
    variables = {}
    exec(compile(text, "documentation", "exec"), variables)
    return variables


def write_photos(folder, number, first=1):
    """Pictures of shapes in a folder; returns their scenes."""
    folder.mkdir(parents=True)
    scenes = [make_scene(np.random.default_rng(first + i), (96, 128)) for i in range(number)]
    for index, scene in enumerate(scenes):
        Image.fromarray(scene.image).save(folder / f"{index:03d}.jpg")
    return scenes


def write_yolo(folder, scenes):
    folder.mkdir()
    for index, scene in enumerate(scenes):
        lines = [
            f"0 {(x1 + x2) / 256:.5f} {(y1 + y2) / 192:.5f} {(x2 - x1) / 128:.5f} "
            f"{(y2 - y1) / 96:.5f}\n"
            for y1, x1, y2, x2 in scene.boxes_yxyx
        ]
        (folder / f"{index:03d}.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The reader's folder: labelled photos, new photos, and a run of the first command."""
    folder = tmp_path_factory.mktemp("reader")
    scenes = write_photos(folder / "photos" / "images", 20)
    write_yolo(folder / "photos" / "labels", scenes)
    (folder / "photos" / "data.yaml").write_text("names: [shape]\n")
    write_photos(folder / "new_photos", 2, first=100)
    shutil.copy(folder / "new_photos" / "000.jpg", folder / "photo.jpg")
    with contextlib.chdir(folder):
        (train,) = commands_of("README.md", about="train")
        type_in(train)
        shutil.copytree("runs/efficientdet-lite0", "efficientdet-d0")
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def test_commands_of_the_readme(here):
    assert (here / "runs/efficientdet-lite0/report.html").is_file()
    predict, export = (words for words in commands_of("README.md") if words[0] != "train")
    type_in(predict)
    assert all((here / "predictions" / name).is_file() for name in PREDICTIONS)
    pictures = json.loads((here / "predictions/predictions.json").read_text())["images"]
    assert len(pictures) == 2
    type_in(export)
    assert list((here / "exports").rglob("*_fp16.tflite"))
    (evaluate,) = commands_of("docs/evaluation.md", about="evaluate")
    type_in(evaluate)
    for words in commands_of("docs/converters.md"):
        type_in(words)
    assert list((here / "records").glob("train-*.tfrecord")) and list((here / "look").iterdir())


def test_python_of_the_readme(here, monkeypatch):
    load, train = python_of("README.md")
    run_python(load, monkeypatch)
    run = run_python(train, monkeypatch)["run"]
    assert run.report and "AP" in run.metrics
    (predict,) = python_of("docs/predictions.md")
    shutil.rmtree(here / "predictions", ignore_errors=True)
    run_python(predict, monkeypatch)
    assert (here / "predictions" / "prelabels_cvat.xml").is_file()


def test_an_ssd(here):
    (train,) = commands_of("docs/detection.md", about="--task=detection")
    type_in(train)
    assert (here / "runs/espnetv2_s_1.0/results.csv").is_file()


def test_class_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("few", "many")):
        write_photos(tmp_path / "photos" / name, 10, first=10 * number)
    write_photos(tmp_path / "new_photos", 1)
    for words in commands_of("docs/classification.md"):
        type_in(words)
    assert (tmp_path / "predictions" / "predictions.csv").is_file()


def test_masks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "streets" / "images", 12)
    (tmp_path / "streets" / "masks").mkdir()
    for photo in (tmp_path / "streets" / "images").iterdir():
        mask = (np.asarray(Image.open(photo)).mean(axis=-1) > 128).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "streets" / "masks" / f"{photo.stem}.png")
    (train,) = commands_of("docs/segmentation.md")
    type_in(train)
    assert (tmp_path / "runs/espnetv2_s_1.0/report.html").is_file()
