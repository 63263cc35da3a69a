"""With several workers, only the chief says what all would say."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf

from efficientvision.training.distribution import is_chief

# The other packages also log what only one worker knows, such as the loss of another one.
_SAID_BY_THE_CHIEF = ("runs", "tasks", "weights", "data", "loading", "preflight")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(f"efficientvision.{part}") for part in _SAID_BY_THE_CHIEF]


def log_on_chief_only(strategy: tf.distribute.Strategy) -> None:
    """Silences the loggers of a worker that is not the chief."""
    if not is_chief(strategy):
        for logger in _loggers():
            logger.setLevel(logging.WARNING)


def restoring_log_levels(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Decorates a function that calls `log_on_chief_only`: undoes it at the end."""

    @functools.wraps(function)
    def wrapped(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        levels = [logger.level for logger in _loggers()]
        try:
            return function(*args, **options)
        finally:
            for logger, level in zip(_loggers(), levels, strict=True):
                logger.setLevel(level)

    return wrapped
