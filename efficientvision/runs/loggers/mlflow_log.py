"""Sends a run to MLflow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from efficientvision import files
from efficientvision.runs.loggers.experiment_log import PROJECT, ExperimentLog

_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
# Limits of MLflow for a call.
_PARAMETERS_PER_CALL = 100
_METRICS_PER_CALL = 1000
_LONGEST_VALUE = 500
_FOREIGN = re.compile(r"[^\w.\- /]")


class MlflowLog(ExperimentLog):
    """See `ExperimentLog`.

    MLflow's own environment variables apply: MLFLOW_TRACKING_URI (default: `mlflow.db` in the
    current folder), MLFLOW_EXPERIMENT_NAME (default `efficientvision`).
    """

    name = "MLflow"
    key = "mlflow"
    advice = "Check the environment variable MLFLOW_TRACKING_URI."
    seconds_between_losses = 10.0  # Each call waits for the server's answer.

    def _errors(self) -> tuple[type[Exception], ...]:
        from mlflow.exceptions import MlflowException

        return (MlflowException,)

    def _start(self, model_dir: str, run_id: str | None) -> str:
        import mlflow

        self._client = mlflow.MlflowClient()
        opened = mlflow.active_run()
        self._is_ours = opened is None
        if opened is not None:
            self._id = str(opened.info.run_id)
        elif run_id is not None and self._continues(run_id):
            self._id = run_id
            return run_id  # MLflow does not let parameters change.
        else:
            name = files.base_name(model_dir)
            self._id = str(self._client.create_run(self._experiment(), run_name=name).info.run_id)
        parameters = [
            mlflow.entities.Param(_allowed(key), str(value)[:_LONGEST_VALUE])
            for key, value in _flat(self._parameters)
        ]
        for start in range(0, len(parameters), _PARAMETERS_PER_CALL):
            chunk = parameters[start : start + _PARAMETERS_PER_CALL]
            self._client.log_batch(self._id, params=chunk)
        return self._id

    def _continues(self, run_id: str) -> bool:
        """Reopens a run; False if the server does not know it."""
        try:
            self._client.update_run(run_id, status="RUNNING")
        except self._errors():
            return False
        return True

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_allowed(name), value, now, step) for name, value in values.items()]
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self._client.log_batch(self._id, metrics=metrics[start : start + _METRICS_PER_CALL])

    def _describe(self, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            self._client.set_tag(self._id, name, str(value))

    def _attach(self, step: int, name: str, path: str) -> None:
        is_photo = name.endswith(".jpg")
        self._client.log_artifact(self._id, path, f"step_{step:07d}" if is_photo else None)

    def _finish(self, status: str) -> None:
        if self._is_ours:
            self._client.set_terminated(self._id, _STATUS[status])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the entries of nested mappings, with names joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _allowed(name: str) -> str:
    """A name in the characters that MLflow accepts: COCO's `AP_/<class>` becomes `AP/<class>`."""
    return _FOREIGN.sub("_", name.replace("_/", "/"))
