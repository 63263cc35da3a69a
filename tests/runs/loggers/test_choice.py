"""The option `log_to`."""

import sys
import types

import pytest

from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.runs import evaluate
from efficientvision.runs.loggers.choice import (
    build_loggers,
    check_evaluation_loggers,
    check_loggers,
    logger_names,
)
from efficientvision.training.tensorboard_log import TensorBoardLog


def test_names_are_split():
    assert logger_names("tensorboard") == ("tensorboard",)
    assert logger_names(" wandb, mlflow,wandb") == ("wandb", "mlflow")
    assert logger_names("none") == logger_names("") == ()
    (log,) = build_loggers("tensorboard", {}, None)
    assert isinstance(log, TensorBoardLog)


@pytest.mark.parametrize(
    ("log_to", "says"), [("wanbd", "Did you mean wandb"), ("none,wandb", "excludes other")]
)
def test_bad_names_are_reported(log_to, says):
    with pytest.raises(UserError, match=says):
        logger_names(log_to)


def test_a_missing_package_is_named_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'efficientvision\[wandb\]'"):
        check_loggers("tensorboard,wandb")
    # A folder of that name, such as the one in which W&B keeps its files.
    monkeypatch.setitem(sys.modules, "wandb", types.ModuleType("wandb"))
    with pytest.raises(UserError, match="needs the package wandb"):
        check_loggers("wandb")
    check_loggers("tensorboard")


def test_an_evaluation_alone_writes_tensorboard_or_nothing(tmp_path):
    check_evaluation_loggers("none")
    options = RunOptions(mode="eval", log_to="mlflow", model_dir=str(tmp_path))
    with pytest.raises(UserError, match="mlflow logs training runs"):
        evaluate.run(options)
    with pytest.raises(UserError):
        check_evaluation_loggers("tensorboard,wandb")
