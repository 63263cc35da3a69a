"""Keeps the best checkpoint of a run, with its metrics, in `model_dir/archive`."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Callable, Mapping

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.evaluation.shown import shown_metric
from efficientvision.files import AnyPath
from efficientvision.training.checkpoints import (
    Checkpoint,
    checkpoint_path,
    explain_full_disk,
    list_checkpoints,
    step_of,
    write_checkpoint,
)

log = logging.getLogger(__name__)

ARCHIVE_NAME = "archive"
OBJECTIVE_NAME = "best_objective.txt"
METRICS_NAME = "best_eval.txt"
# File that names the best checkpoint; its path stands for that one (`weights.run_folder`).
BEST_NAME = "best"
_BACKUP_NAME = "backup"
_STAGED_NAME = ".archive.tmp"
_SIDECARS = ("config.yaml", "labels.json")


def best_objective(model_dir: AnyPath) -> float | None:
    """Metric of the best checkpoint so far, or None."""
    try:
        return float(files.read_text(files.join(model_dir, OBJECTIVE_NAME)))
    except (FileNotFoundError, ValueError, UserError):
        return None


def archive_if_best(
    model_dir: AnyPath,
    checkpoint: Checkpoint,
    metrics: dict[str, float],
    objective: str,
    *,
    images: int | None = None,
    side_files: Callable[[], Mapping[str, str]] = dict,
) -> bool:
    """Archives a checkpoint if its metric is the best so far.

    `archive/` then holds the checkpoint (without optimizer slots), copies of the run's
    `config.yaml` and `labels.json`, the `side_files`, and `best_eval.txt` (JSON: step, images and
    all metrics); the previous archive moves to `backup/`; `model_dir/best_objective.txt` holds the
    metric. File names are those of the original's `utils.archive_ckpt`. `model_dir/best` names the
    checkpoint.

    Metrics are compared only if they were measured on equally many images. A checkpoint evaluated
    on fewer images never replaces the archived one, and one evaluated on more images always does;
    both cases are logged.

    Args:
        model_dir: The run's folder.
        checkpoint: The evaluated checkpoint.
        metrics: Its metrics.
        objective: Name of the metric that decides; larger is better.
        images: Number of images of the evaluation, if known.
        side_files: Returns further files of the archive, name -> text; called if it is the best.

    Returns:
        Whether it was archived.

    Raises:
        UserError: The disk is full; the archive is unchanged.
    """
    archive, staged = files.join(model_dir, ARCHIVE_NAME), files.join(model_dir, _STAGED_NAME)
    _finish_exchange(model_dir)
    value = float(metrics[objective])
    archived = _archived_metrics(archive)
    before = _number(archived.get(objective))
    before = _number(best_objective(model_dir)) if before is None else before
    known = _number(archived.get("images"))
    if before is not None and not _replaces(value, images, before, known, objective):
        return False
    files.remove_folder(staged)
    table = {"step": checkpoint.step, **({"images": images} if images else {}), **metrics}
    with explain_full_disk(model_dir, "the copy of the best checkpoint", checkpoint):
        try:
            _stage(model_dir, staged, checkpoint, table, side_files())
        except BaseException:
            files.remove_folder(staged)
            raise
        _finish_exchange(model_dir)
        _write_pointers(model_dir, value, checkpoint.step)
    return True


def repair_archive(model_dir: AnyPath, objective: str) -> None:
    """Completes an archive exchange that a kill interrupted, and removes what it left.

    Call it only from a run that archives: a concurrent evaluation might be exchanging it right now.
    """
    _finish_exchange(model_dir)
    files.remove_folder(files.join(model_dir, _STAGED_NAME))
    archive = files.join(model_dir, ARCHIVE_NAME)
    found = list_checkpoints(archive) if _is_whole(archive) else []
    value = _number(_archived_metrics(archive).get(objective))
    if found and value is not None:
        _write_pointers(model_dir, value, step_of(found[-1]))


def _write_pointers(model_dir: AnyPath, value: float, step: int) -> None:
    """Writes the best metric and the path of its checkpoint."""
    best = files.join(ARCHIVE_NAME, files.base_name(checkpoint_path("", step)))
    for name, text in ((OBJECTIVE_NAME, f"{value:.6f}\n"), (BEST_NAME, best + "\n")):
        path = files.join(model_dir, name)
        if not files.is_file(path) or files.read_bytes(path) != text.encode():
            files.write_text(path, text)


def _stage(
    model_dir: AnyPath,
    staged: str,
    checkpoint: Checkpoint,
    table: dict,
    side_files: Mapping[str, str],
) -> None:
    """Writes a new archive beside the existing one."""
    path = checkpoint_path(staged, checkpoint.step)
    write_checkpoint(path, dataclasses.replace(checkpoint, optimizer={}))
    for name in _SIDECARS:
        if files.is_file(files.join(model_dir, name)):
            files.copy(files.join(model_dir, name), files.join(staged, name))
    for name, text in side_files.items():
        files.write_text(files.join(staged, name), text)
    # Written last: it marks the folder as complete.
    files.write_text(files.join(staged, METRICS_NAME), json.dumps(table, indent=2) + "\n")


def _finish_exchange(model_dir: AnyPath) -> None:
    """Moves a staged archive to its place and the previous one to `backup`.

    A run may be killed at any point of this: the next call continues from there.
    """
    archive, backup, staged = (
        files.join(model_dir, name) for name in (ARCHIVE_NAME, _BACKUP_NAME, _STAGED_NAME)
    )
    if _is_whole(staged):
        if _is_whole(archive):
            files.remove_folder(backup)
            files.move_folder(archive, backup, last=METRICS_NAME)
        files.remove_folder(archive)
        files.move_folder(staged, archive, last=METRICS_NAME)
    elif not _is_whole(archive) and _is_whole(backup):
        files.remove_folder(archive)
        files.move_folder(backup, archive, last=METRICS_NAME)


def _is_whole(folder: str) -> bool:
    return files.is_file(files.join(folder, METRICS_NAME))


def _archived_metrics(archive: str) -> dict:
    """Content of `best_eval.txt`; empty if it is missing or damaged."""
    try:
        table = json.loads(files.read_text(files.join(archive, METRICS_NAME)))
    except (FileNotFoundError, ValueError, RecursionError, UserError):
        return {}
    return table if isinstance(table, dict) else {}


def _number(value: object) -> float | int | None:
    """The value if it is a finite number, else None."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _replaces(
    value: float, images: int | None, best: float, best_images: int | None, objective: str
) -> bool:
    """Whether a metric replaces the archived one; logs it if they cannot be compared."""
    if images is None or best_images is None or images == best_images:
        return value > best
    fuller = images > best_images
    log.info(
        f"{objective} {shown_metric(objective, value)} on {images} images does not compare with "
        f"{objective} {shown_metric(objective, best)} on {best_images} images in {ARCHIVE_NAME}, "
        "which is "
        f"{'replaced by this fuller evaluation' if fuller else 'kept'}."
    )
    return fuller
