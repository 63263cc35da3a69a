"""What W&B and MLflow get of a run: calls of stand-ins for their clients."""

import logging
import signal
import sys
import types

import pytest

from efficientvision.errors import UserError
from efficientvision.runs.loggers.mlflow_log import MlflowLog
from efficientvision.runs.loggers.wandb_log import WandbLog
from tests.runs.loggers.fake_clients import FakeMlflow, FakeWandb

PARAMETERS = {"model_name": "toy", "nms_configs": {"method": "hard"}, "long": "x" * 900}
METRICS = {"AP": 0.5, "AP_/a (b)": 0.25}


def trainer(folder, step=0, stop_signal=None):
    return types.SimpleNamespace(
        model_dir=str(folder),
        task=types.SimpleNamespace(best_metric="AP"),
        plan=types.SimpleNamespace(batch_size=4),
        state=types.SimpleNamespace(step=step),
        stop_signal=stop_signal,
    )


def train(log, folder, *, error=None, stop_signal=None, step=0):
    """A run of two chunks and an evaluation."""
    log.begin(trainer(folder, step, stop_signal))
    log.trained(2, 2, 1.0, {"loss": 4.0})
    log.trained(4, 2, 1.0, {"loss": 2.0})
    (folder / "val_predictions.jpg").write_bytes(b"jpg")
    log.evaluated(4, METRICS, None, report="", best=True)
    log.epoch_ended(4, 1, {})
    (folder / "report.html").write_text("<p>")
    (folder / "curves.png").write_bytes(b"png")
    if error:
        log.failed(error)
    log.end()


@pytest.fixture
def wandb(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def mlflow(monkeypatch):
    fake = FakeMlflow()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return fake


def test_wandb_gets_the_whole_run(wandb, tmp_path):
    train(WandbLog(PARAMETERS), tmp_path)
    (options,) = wandb.of("init")
    assert options["config"] == PARAMETERS and options["project"] == "efficientvision"
    assert options["name"] == tmp_path.name and options["dir"] == str(tmp_path)
    assert options["id"] is None and options["resume"] == "allow"
    logged = [values for (values,) in wandb.of("log")]
    assert {"step": 2, "train/loss": 4.0, "train/images_per_second": 8.0} in logged
    assert {"step": 4, "val/AP": 0.5, "val/AP_/a (b)": 0.25} in logged
    assert {
        "step": 4,
        "pictures/val_predictions": f"image {tmp_path}/val_predictions.jpg",
    } in logged
    assert {"step": 0, "report": f"page {tmp_path}/report.html"} in logged
    assert wandb.of("summary") == [({"best_AP": 0.5, "best_checkpoint": f"{tmp_path}/best"},)]
    assert wandb.of("finish") == [{"exit_code": 0}]


def test_a_resumed_run_is_the_same_run(wandb, mlflow, tmp_path):
    for log in (WandbLog(PARAMETERS), MlflowLog(PARAMETERS)):
        train(log, tmp_path)
    params = [call for call in mlflow.of("log_batch") if call[2]]
    for log in (WandbLog(PARAMETERS), MlflowLog(PARAMETERS)):
        train(log, tmp_path, step=4)
    assert [options["id"] for options in wandb.of("init")] == [None, "new-id"]
    (again,) = mlflow.of("update_run")
    assert again == ["run 0 of experiment efficientvision", "RUNNING"]
    assert [call for call in mlflow.of("log_batch") if call[2]] == params  # Only once.


def test_a_damaged_file_of_ids_starts_new_runs(wandb, tmp_path, caplog):
    (tmp_path / "loggers.json").write_text("[1")
    with caplog.at_level(logging.INFO):
        WandbLog({}).begin(trainer(tmp_path))
    assert "loggers.json is damaged" in caplog.text
    assert wandb.of("init")[0]["id"] is None


@pytest.mark.parametrize(
    ("options", "exit_code", "status"),
    [
        ({"error": UserError("loss is NaN")}, 1, "FAILED"),
        ({"stop_signal": signal.SIGTERM}, 130, "KILLED"),
        ({}, 0, "FINISHED"),
    ],
)
def test_the_end_says_how_the_run_ended(wandb, mlflow, tmp_path, options, exit_code, status):
    for log in (WandbLog({}), MlflowLog({})):
        train(log, tmp_path, **options)
    assert wandb.of("finish") == [{"exit_code": exit_code}]
    assert [call[1] for call in mlflow.of("set_terminated")] == [status]


def test_mlflow_gets_the_whole_run(mlflow, tmp_path):
    train(MlflowLog(PARAMETERS), tmp_path)
    batches = mlflow.of("log_batch")
    assert batches[0][2] == [
        ("model_name", "toy"), ("nms_configs.method", "hard"), ("long", "x" * 500),
    ]  # fmt: skip
    metrics = [metric for batch in batches for metric in batch[1]]
    # The second chunk came within 10 seconds, and waited for the evaluation.
    assert [value for name, value, _ in metrics if name == "train/loss"] == [4.0, 2.0]
    assert ("val/AP", 0.5, 4) in metrics and ("val/AP/a _b_", 0.25, 4) in metrics
    assert [call[1:] for call in mlflow.of("log_artifact")] == [
        ["val_predictions.jpg", "step_0000004"], ["report.html", None], ["curves.png", None],
    ]  # fmt: skip
    assert [call[1:] for call in mlflow.of("set_tag")][1] == ["best_checkpoint", f"{tmp_path}/best"]


def test_a_run_that_the_caller_opened_stays_open(wandb, mlflow, tmp_path):
    wandb.run = wandb.opened("theirs")
    mlflow.active = types.SimpleNamespace(info=types.SimpleNamespace(run_id="theirs"))
    for log in (WandbLog(PARAMETERS), MlflowLog(PARAMETERS)):
        train(log, tmp_path)
    assert not wandb.of("init") and not wandb.of("finish") and not mlflow.of("set_terminated")
    assert wandb.of("config") and {call[0] for call in mlflow.of("log_batch")} == {"theirs"}


def test_a_tracker_that_cannot_start_is_an_error(wandb, mlflow, tmp_path):
    wandb.refused = mlflow.refused = "no way"
    with pytest.raises(UserError, match="could not start: no way. .*WANDB_MODE=offline"):
        WandbLog({}).begin(trainer(tmp_path))
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        MlflowLog({}).begin(trainer(tmp_path))
    log = WandbLog({})
    log.end()  # Called after a failed start, too.


def test_a_tracker_that_fails_later_does_not_end_training(mlflow, tmp_path, caplog):
    log = MlflowLog({})
    log.begin(trainer(tmp_path))
    mlflow.refused = "the server is gone"
    with caplog.at_level(logging.INFO):
        for step in (2, 4):
            log.trained(step, 2, 1.0, {"loss": 1.0})
            log.epoch_ended(step, 1, {})
    assert caplog.text.count("MLflow did not get losses: the server is gone. Training cont") == 1
