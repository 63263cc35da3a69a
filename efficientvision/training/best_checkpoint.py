"""Keeps the best checkpoint of a run, with its metrics, in `model_dir/archive`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

from efficientvision.data.record_files import write_text
from efficientvision.training.checkpoints import (
    Checkpoint,
    checkpoint_path,
    write_checkpoint,
)

OBJECTIVE_NAME = "best_objective.txt"
METRICS_NAME = "best_eval.txt"
_SIDECARS = ("config.yaml", "labels.json")


def best_objective(model_dir: str | os.PathLike) -> float | None:
    """The metric of the best checkpoint so far, or None."""
    path = Path(model_dir) / OBJECTIVE_NAME
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def archive_if_best(
    model_dir: str | os.PathLike, checkpoint: Checkpoint, metrics: dict[str, float], objective: str
) -> bool:
    """Archives a checkpoint if its metric is the best so far.

    `archive/` then holds the checkpoint (without the optimizer's slots), copies of the run's
    `config.yaml` and `labels.json`, and `best_eval.txt` (JSON: step and all metrics); the archive
    before it moves to `backup/`; `model_dir/best_objective.txt` holds the metric. File names are
    those of the original's `utils.archive_ckpt`.

    Args:
        model_dir: The run's folder.
        checkpoint: What was evaluated.
        metrics: Its metrics.
        objective: Name of the one that decides; larger is better.

    Returns:
        Whether it was the best.
    """
    folder = Path(model_dir)
    value = float(metrics[objective])
    best = best_objective(folder)
    if best is not None and not value > best:
        return False
    staged, archive, backup = (folder / n for n in (".archive.tmp", "archive", "backup"))
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    write_checkpoint(
        checkpoint_path(staged, checkpoint.step), dataclasses.replace(checkpoint, optimizer={})
    )
    for name in _SIDECARS:
        if (folder / name).is_file():
            shutil.copy2(folder / name, staged / name)
    table = {"step": checkpoint.step, **metrics}
    write_text(str(staged / METRICS_NAME), json.dumps(table, indent=2) + "\n")
    if archive.exists():
        shutil.rmtree(backup, ignore_errors=True)
        os.replace(archive, backup)
    os.replace(staged, archive)
    write_text(str(folder / OBJECTIVE_NAME), f"{value:.6f}\n")
    return True
