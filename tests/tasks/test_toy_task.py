"""A task that the library does not know, of one folder: all programs do it as they do their own."""

import json
import pathlib
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision import registry
from efficientvision.data.records import DetectionExample, encode_example
from efficientvision.errors import UserError
from efficientvision.report import observer
from tests.made_class_records import write_class_records
from tests.programs import error_line, inspect, train_program
from tests.store import stored
from tests.trained_runs import eagerly

SIDE, CELL, BLOB = 32, 8, 5
LEARNING = {"train_batch_size": 16, "eval_batch_size": 16, "save_checkpoints_steps": 1000}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one line: a name of its own, and one that stands for networks of other tasks too."""
    entry = registry.TaskEntry("tests.toy_counting", ("blob_counter", "espnetv2_s_0.5"))
    monkeypatch.setitem(registry.TASKS, "counting", entry)


def blobs(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture, uint8 [SIDE, SIDE, 3], and its bright squares, int [n, 4] as y, x, y, x."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
    cells = rng.choice((SIDE // CELL) ** 2, rng.integers(0, 9), replace=False)
    corners = np.stack(np.divmod(cells, SIDE // CELL), axis=1) * CELL + 1
    for y, x in corners:
        pixels[y : y + BLOB, x : x + BLOB] = 230
    return pixels, np.concatenate([corners, corners + BLOB], axis=1)


def write_pictures(folder: pathlib.Path, count: int) -> None:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(blobs(1000 + index)[0]).save(folder / f"{index}.png")


def data() -> pathlib.Path:
    """Records of objects, as for detection; how many there are is the label. And photos."""

    def record(index: int, photo: bytes) -> bytes:
        boxes = blobs(index)[1]
        return encode_example(
            DetectionExample(
                encoded=photo,
                image_format="png",
                filename=f"{index}.png",
                source_id=str(index),
                height=SIDE,
                width=SIDE,
                boxes_yxyx=boxes,
                classes=[1] * len(boxes),
                class_names=["blob"] * len(boxes),
                areas=[BLOB**2] * len(boxes),
            )
        )

    def write(folder: pathlib.Path) -> None:
        scratch = folder / "picture.png"
        for part, first, count in (("train", 0, 64), ("val", 500, 16)):
            records = []
            for index in range(first, first + count):
                Image.fromarray(blobs(index)[0]).save(scratch)
                records.append(record(index, scratch.read_bytes()))
            write_class_records(folder / f"{part}.tfrecord", records)
        (folder / "labels.json").write_text(json.dumps({1: "blob"}))
        write_pictures(folder / "photos", 3)

    return stored("data_counting", write)


def trained() -> pathlib.Path:
    """The folder of a run, which nobody may write to."""

    def make(folder: pathlib.Path) -> None:
        lengths = {"num_epochs": 1, "num_examples_per_epoch": 768}
        ev.train("blob_counter", data=data(), model_dir=folder / "run", **lengths, **LEARNING)

    return stored("run_counting", make) / "run"


def rows(run: pathlib.Path, name: str) -> list[dict[str, str]]:
    head, *lines = (run / name).read_text().splitlines()
    return [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]


def test_trains_evaluates_and_reports(capsys):
    run = trained()
    losses = [float(row["loss"]) for row in rows(run, "losses.csv")]
    assert losses[-1] < 0.2 * losses[0]
    found = ev.evaluate(run, data())
    last = rows(run, "results.csv")[-1]
    assert found == pytest.approx({name: float(last[name]) for name in found}, rel=1e-4)
    page = (run / "report.html").read_text()
    for words in ("exact counts", "share of the pictures counted exactly", "What was counted"):
        assert words in page
    assert "damaged" not in capsys.readouterr().out
    assert json.loads((run / "labels.json").read_text()) == {"1": "blob"}


def test_is_one_of_the_tasks():
    assert "blob_counter" in ev.list_models()
    assert ev.get_config("blob_counter").task == "counting"
    assert ev.build_model("blob_counter", width=4).output_shape == (None, 1)
    # A name of several tasks means another one, unless this is named.
    assert ev.get_config("espnetv2_s_0.5").task == "classification"
    assert ev.get_config("espnetv2_s_0.5", task="counting").task == "counting"
    with pytest.raises(UserError, match="blob_counter supports counting, not detection"):
        ev.build_model("blob_counter", task="detection")


@pytest.fixture
def without_tracing():
    with eagerly(), mock.patch.object(observer, "build_report"):
        yield


@pytest.mark.slow
def test_goes_on_where_it_was_and_from_a_checkpoint(tmp_path, without_tracing):
    begun = ev.train(
        "espnetv2_s_0.5", task="counting", data=data(), model_dir=tmp_path, num_epochs=1, **LEARNING
    )
    done = train_program(
        "--model_name=espnetv2_s_0.5",
        "--task=counting",
        f"--data_dir={data()}",
        f"--model_dir={tmp_path}",
        "--mode=train_and_eval",
        "--num_epochs=2",
        "--train_batch_size=16",
    )
    assert done.code == 0, done.stderr
    assert f"Resuming from step {begun.step} of {2 * begun.step}" in done.stdout
    again = ev.train(
        "espnetv2_s_0.5",
        task="counting",
        data=data(),
        model_dir=tmp_path / "fine",
        ckpt=str(trained()),
        num_epochs=1,
        **LEARNING,
    )
    assert again.metrics["loss"] < begun.metrics["loss"]


def test_preflight_looks_at_the_records(tmp_path):
    arguments = (f"--data_dir={data()}", f"--model_dir={tmp_path}", "--preflight=only")
    done = train_program("--model_name=blob_counter", *arguments, "--mode=train_and_eval")
    assert done.code == 0, done.stderr
    assert "64 records in 1 file, all read" in done.stdout


@pytest.mark.parametrize("option", ["--test_flip", "--dataset=pascal", "--val_json_file=a.json"])
def test_refuses_what_only_other_tasks_do(option, tmp_path):
    arguments = (f"--data_dir={data()}", f"--model_dir={tmp_path}", option)
    message = error_line(train_program("--model_name=blob_counter", *arguments))
    assert "does not apply to a counter: remove it" in message


def test_predicts_a_folder(tmp_path):
    counter = ev.load(trained())
    results = list(counter(data() / "photos"))
    for index, result in enumerate(results):
        assert abs(result.count - len(blobs(1000 + index)[1])) < 1.5
        picture, text = result.save(tmp_path)
        assert json.loads(pathlib.Path(text).read_text())["count"] == result.count
        assert Image.open(picture).size[0] == 128


@pytest.mark.slow
def test_exports_a_saved_model(tmp_path):
    check_exports(tmp_path, ["saved_model"])


@pytest.mark.slow
def test_exports_files_for_every_runtime(tmp_path):
    check_exports(tmp_path, ["saved_model", "onnx", "litert", "litert_int8"])


def check_exports(folder: pathlib.Path, formats: list[str]) -> None:
    val = data() / "val.tfrecord"
    written = ev.export(trained(), formats, folder, photos=data() / "photos", verify=val, bm_runs=1)
    metrics = ev.evaluate(trained(), data())
    expected = [result.count for result in ev.load(trained())(data() / "photos")]
    for export in written:
        assert export.verdict == "ok"
        tolerance = 0.2 if export.format == "litert_int8" else 1e-3
        found = [result.count for result in ev.load(export.path)(data() / "photos")]
        np.testing.assert_allclose(found, expected, atol=tolerance)
    assert written[0].metrics["exact"] == pytest.approx(100 * metrics["exact"])
    assert ev.evaluate(written[0].path, data()) == pytest.approx(metrics, abs=1e-3)


def test_its_programs_know_it(tmp_path, capsys):
    photos = data() / "photos"
    assert inspect("--runmode=dry", "--model_name=blob_counter", f"--logdir={tmp_path}") == 0
    code = inspect(
        "--runmode=infer",
        "--task=counting",
        f"--ckpt_path={trained()}",
        f"--input_image={photos}",
        f"--output_image_dir={tmp_path / 'out'}",
    )
    assert code == 0
    assert "blobs" in capsys.readouterr().out
