"""Sends a run to Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from efficientvision import files
from efficientvision.runs.loggers.experiment_log import PROJECT, ExperimentLog

# Exit codes by status: W&B marks runs with any other code than 0 as failed.
_EXIT_CODES = {"finished": 0, "interrupted": 130, "failed": 1}


class WandbLog(ExperimentLog):
    """See `ExperimentLog`.

    W&B's own environment variables apply: WANDB_MODE=offline, WANDB_PROJECT (default
    `efficientvision`), WANDB_ENTITY, WANDB_NAME, WANDB_DIR (default: the run's folder).
    """

    name = "Weights & Biases"
    key = "wandb"
    advice = "Log in with `wandb login`, or set the environment variable WANDB_MODE=offline."

    def _errors(self) -> tuple[type[Exception], ...]:
        import wandb

        return (wandb.Error,)

    def _start(self, model_dir: str, run_id: str | None) -> str:
        import wandb

        self._is_ours = wandb.run is None
        if wandb.run is not None:
            self._run = wandb.run
            self._run.config.update(dict(self._parameters), allow_val_change=True)
        else:
            local = None if files.is_remote(model_dir) else model_dir
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=os.environ.get("WANDB_NAME", files.base_name(model_dir)),
                dir=os.environ.get("WANDB_DIR", local),
                id=run_id,
                resume="allow",
                config=dict(self._parameters),
            )
        # With an own axis, the steps that a resumed run repeats are accepted.
        self._run.define_metric("step", hidden=True)
        for kind in ("train/*", "val/*"):
            self._run.define_metric(kind, step_metric="step")
        return str(self._run.id)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def _describe(self, facts: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(facts))

    def _attach(self, step: int, name: str, path: str) -> None:
        import wandb

        title, suffix = os.path.splitext(name)
        shown = wandb.Html(path) if suffix == ".html" else wandb.Image(path)
        self._run.log({"step": step, f"pictures/{title}" if suffix != ".html" else title: shown})

    def _finish(self, status: str) -> None:
        if self._is_ours:
            self._run.finish(exit_code=_EXIT_CODES[status])
