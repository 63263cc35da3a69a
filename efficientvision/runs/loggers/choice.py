"""The loggers that the option `log_to` names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from efficientvision.configs.loggers import PACKAGES, TENSORBOARD, logger_names
from efficientvision.errors import UserError
from efficientvision.runs.loggers.mlflow_log import MlflowLog
from efficientvision.runs.loggers.wandb_log import WandbLog
from efficientvision.training.callbacks import Callback
from efficientvision.training.tensorboard_log import TensorBoardLog


def check_loggers(log_to: str) -> None:
    """Checks that the packages of the chosen loggers are installed.

    Raises:
        UserError: A package is missing, or cannot be imported.
    """
    for name in logger_names(log_to):
        if name not in PACKAGES:
            continue
        try:
            found = hasattr(importlib.import_module(name), PACKAGES[name])
        except ImportError:
            found = False
        if not found:
            raise UserError(
                f"`log_to={log_to}` needs the package {name}, which is not installed: pip install "
                f"'efficientvision[{name}]', or remove {name} from `log_to`."
            )


def check_evaluation_loggers(log_to: str) -> None:
    """Checks the option in `mode=eval`, which writes TensorBoard files only.

    Raises:
        UserError: It names another logger.
    """
    for name in logger_names(log_to):
        if name != TENSORBOARD:
            raise UserError(
                f"`log_to={log_to}`: {name} logs training runs; `mode=eval` writes tensorboard "
                "files or none."
            )


def build_loggers(
    log_to: str, parameters: Mapping[str, Any], eval_name: str | None
) -> list[Callback]:
    """Builds the callbacks of the chosen loggers.

    Args:
        log_to: The option.
        parameters: Options and hyper-parameters of the run, for the loggers' tables.
        eval_name: Subfolder for the evaluation's TensorBoard files.
    """
    build = {
        TENSORBOARD: lambda: TensorBoardLog(eval_name),
        "wandb": lambda: WandbLog(parameters),
        "mlflow": lambda: MlflowLog(parameters),
    }
    return [build[name]() for name in logger_names(log_to)]
