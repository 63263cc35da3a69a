"""Training, evaluation, loading and export from Python: the same runs as from a command line."""

import json
import logging
import shutil

import numpy as np
import pytest

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.runs import calls
from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.training.callbacks import Callback
from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.run_log import read_results
from tests.small_networks import exported
from tests.trained_runs import CASES, data_folder, eagerly, trained_run

OPTIONS = {
    "image_size": 32,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "lr_decay_method": "cosine",
    "train_batch_size": 2,
    "deterministic": False,
}
MODEL = "shufflenetv2_s_0.1"


@pytest.fixture(scope="module")
def data():
    return data_folder("classification")


@pytest.fixture(scope="module")
def run_dir():
    """Two epochs, trained by `main.py`, which nobody may write to."""
    return trained_run("classification")[0]


@pytest.fixture(scope="module")
def called(tmp_path_factory, data):
    """One epoch, trained by the call."""
    folder = tmp_path_factory.mktemp("calls") / "run"
    with eagerly():
        run = ev.train(MODEL, data=data, model_dir=folder, num_epochs=1, **OPTIONS)
    assert run.model_dir == str(folder) and run.step == 2
    return folder


def test_what_a_run_tells(run_dir):
    run = calls.finished_run(run_dir)
    assert 0 <= run.metrics["top1"] <= 1 and run.metrics["loss"] > 0
    assert run.best == str(run_dir / "archive") and run.report == str(run_dir / "report.html")
    assert repr(run).startswith(f"<TrainingRun {run_dir}, step 4: ")


@pytest.mark.slow
def test_the_folder_is_that_of_the_command_line(called):
    """File by file; both resume either."""
    commanded = trained_run("classification")[0]
    names = {path.name for path in commanded.iterdir() if "ckpt-" not in path.name}
    ours = {path.name for path in called.iterdir() if "ckpt-" not in path.name}
    assert ours == names | {"data_defaults.json"}
    assert (called / "labels.json").read_text() == (commanded / "labels.json").read_text()
    ours, theirs = (read_results(folder)[0].keys() for folder in (called, commanded))
    assert ours == theirs
    command = (called / "command.txt").read_text().splitlines()[-1]
    assert command.startswith(f"efficientvision.train('{MODEL}', model_dir=")
    assert "num_epochs=1" in command


@pytest.mark.slow
def test_the_same_call_resumes_and_callbacks_look_on(called, data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(called, folder)
    seen = []

    class Steps(Callback):
        def trained(self, step, steps, seconds, losses):
            seen.append(step)

    with eagerly():
        more = {**OPTIONS, "num_epochs": 2, "callbacks": [Steps()]}
        run = ev.train(MODEL, data=data, model_dir=folder, **more)
    assert run.step == 4 and min(seen) > 2
    assert [row["step"] for row in read_results(folder)] == ["2", "4"]
    assert read_checkpoint(folder).step == 4


def test_evaluation_gives_the_metrics(run_dir, data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    with eagerly():
        metrics = ev.evaluate(folder, data)
    assert metrics["top1"] == pytest.approx(float(read_results(run_dir)[-1]["top1"]), abs=1e-5)
    with pytest.raises(UserError, match="`val_file_pattern` is missing"):
        ev.evaluate(folder)


def test_the_right_predictor_is_loaded(run_dir):
    predictor = ev.load(run_dir)
    assert isinstance(predictor, Classifier)
    assert predictor.class_names == CASES["classification"].names
    assert ev.load(run_dir / "best").metadata.model_name == MODEL
    for kind in ("detector", "classifier", "segmenter"):
        assert type(ev.load(exported(kind))).__name__.lower() == kind
    with pytest.raises(UserError, match="nowhere"):
        ev.load("nowhere")


def test_export_verifies_and_can_be_loaded(run_dir, data, tmp_path):
    (one,) = ev.export(run_dir, "litert", tmp_path / "out", verify=f"{data}/val-*", bm_runs=1)
    assert (one.format, one.verdict, one.fault) == ("litert", "ok", "")
    assert set(one.metrics) == {"accuracy"} and one.milliseconds > 0
    photo = np.zeros((32, 32, 3), np.uint8)
    ours, theirs = (ev.load(path)(photo)[0] for path in (run_dir, one.path))
    assert ours.name == theirs.name and ours.probability == pytest.approx(
        theirs.probability, abs=1e-4
    )
    with pytest.raises(UserError, match=r"`format=onxx`: unknown. .*onnx"):
        ev.export(run_dir, "onxx", tmp_path / "out", verify=f"{data}/val-*")


def test_benchmark_gives_milliseconds(run_dir):
    assert 0 < ev.benchmark(run_dir, bm_runs=1, bm_runs_warmup=0) < 60_000
    with pytest.raises(UserError, match="'batchsize'. Did you mean .*train_batch_size"):
        ev.train("efficientdet-d0", data="records", model_dir="run", batchsize=4)
    with pytest.raises(UserError, match="Unknown option bm_rums. .*bm_runs"):
        ev.benchmark(run_dir, bm_rums=1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"num_epohcs": 3}, "num_epohcs.*num_epochs"),
        ({"train_batch_size": "3"}, "train_batch_size='3': must be of type int"),
        ({"train_batch_size": True}, "type int"),
        ({"on_nan": "go"}, "on_nan='go': must be one of stop, skip"),
        ({"num_classes": -1}, "num_classes"),
        ({"mode": "dance"}, "mode"),
        ({"model_name": "efficientdet-d0"}, "set twice"),
    ],
)
def test_wrong_arguments_are_named(options, complaint, data, tmp_path):
    with pytest.raises(UserError, match=complaint):
        ev.train(MODEL, data=data, model_dir=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_data_is_missing_or_two_patterns(data, tmp_path):
    with pytest.raises(UserError, match="`train_file_pattern` is missing"):
        ev.train(MODEL, model_dir=tmp_path / "run")
    with pytest.raises(UserError, match="nowhere"):
        ev.train(MODEL, model_dir=tmp_path / "run", data="nowhere")
    patterns = calls.patterns_of((f"{data}/train-*", None))
    assert patterns == {"train_file_pattern": f"{data}/train-*"}


def test_an_interrupted_call_says_so(monkeypatch, data, tmp_path):
    monkeypatch.setattr(calls.training, "train", lambda *_, **__: 130)
    with pytest.raises(KeyboardInterrupt):
        ev.train(MODEL, data=data, model_dir=tmp_path / "run")


def test_the_library_is_silent_by_default(run_dir, capsys):
    """Without a handler nothing below a warning is seen, and the bars can be switched off."""
    logger = logging.getLogger("efficientvision")
    kept, logger.handlers = logger.handlers, []
    ev.show_progress(False)
    try:
        ev.load(run_dir)
        ev.benchmark(run_dir, bm_runs=1, bm_runs_warmup=0)
    finally:
        ev.show_progress(True)
        logger.handlers = kept
    said = capsys.readouterr()
    assert said.out == "" and said.err == ""


def test_json_of_a_result(run_dir):
    result = ev.load(run_dir)(np.zeros((32, 32, 3), np.uint8), top_k=1)
    assert len(json.loads(result.to_json())["classes"]) == 1
