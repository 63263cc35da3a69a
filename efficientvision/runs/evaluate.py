"""Mode `eval`: evaluates a finished checkpoint once, or each new one of a running training."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator

import keras
import tensorflow as tf

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import data_errors
from efficientvision.data.record_files import match_files, num_records
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export, load_export
from efficientvision.loading import CONFIG_FILE
from efficientvision.report.build import build_report
from efficientvision.report.evaluation_files import add_evaluation, write_evaluation
from efficientvision.report.observer import said_in_a_line
from efficientvision.runs import devices, out_of_memory, run_setup
from efficientvision.runs.loggers.choice import check_evaluation_loggers, logger_names
from efficientvision.runs.run_data import read_data
from efficientvision.tasks import tta_options
from efficientvision.tasks.choice import task_of_config, task_of_export
from efficientvision.tasks.training_task import Evaluation, TrainingTask
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, archive_if_best
from efficientvision.training.checkpoints import (
    Checkpoint,
    has_ended,
    latest_checkpoint,
    list_checkpoints,
    read_checkpoint,
    step_of,
)
from efficientvision.training.evaluator import Evaluator
from efficientvision.training.run_lock import LOCK_NAME
from efficientvision.training.state import assign_by_path
from efficientvision.training.tensorboard_log import write_scalars

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_REMINDER_SECONDS = 600.0


def run(
    options: RunOptions, located: RunOptions | None = None, *, follow: bool = True
) -> dict[str, float]:
    """Evaluates the model in `model_dir`: a training run, a published checkpoint or an export.

    For test-dev, with test-time augmentation, and on other photos than the run's own, only the
    newest checkpoint is evaluated and nothing is written to the run: its best checkpoint, minimum
    scores and report are those of plain evaluations on its validation photos.

    Args:
        options: Options of the evaluation.
        located: The same before unreadable records were left out; None: `options`.
        follow: Wait for further checkpoints of a run that has not reached its last step.

    Returns:
        Metrics by name from the last evaluation; empty for a test server.
    """
    check_evaluation_loggers(options.log_to)
    folder, timeout = options.model_dir, options.eval_timeout
    task = run_setup.task_of_run(options)
    options = task.fit_to_data(options, None)
    if task.write_test_results(options, lambda: _prepare(options)):
        return {}
    tell_images(options)
    if is_export(folder):
        return _evaluate_export(options)
    if options.testdev_dir or tta_options.asks_for_tta(options):
        return _evaluate_once(options)
    if is_awaited(folder, timeout):
        wait_for_checkpoint(folder, None, timeout)
    if files.is_folder(folder) and list_checkpoints(folder):  # RUN/best is evaluated once.
        if is_own_data((located or options).val_file_pattern, folder):
            return _follow_run(options, folder, follow=follow)
        log.info(
            "These are not the validation photos of the run: its best checkpoint, minimum scores "
            "and report stay as they are."
        )
    return _evaluate_once(options)


def is_own_data(pattern: str | None, folder: str) -> bool:
    """Whether records are the validation data of a run; True if those are unknown."""
    own = read_data(folder).evaluation
    if own is None or pattern is None:
        return True
    return _paths(own) == _paths(pattern)


def _paths(pattern: str) -> set[str]:
    return {files.absolute(path) for path in match_files(pattern)}


def _evaluate_export(options: RunOptions) -> dict[str, float]:
    """Evaluates an exported model, or writes its results for the test server."""
    if tta_options.asks_for_tta(options):
        raise UserError(
            f"`model_dir={options.model_dir}` is an exported model, but `test_flip` and "
            "`test_scales` need a checkpoint: set `model_dir` to its path"
        )
    run_batch, metadata = load_export(options.model_dir, trust=options.trust)
    return task_of_export(metadata).evaluate_export(options, run_batch, metadata)


def is_awaited(folder: str, timeout: float | None) -> bool:
    """Whether a training run is expected to write checkpoints to a folder without any."""
    if not files.exists(folder) and not files.exists(f"{folder}.index"):
        return timeout is not None  # Without a timeout it is more likely a typo.
    if not files.is_folder(folder):
        return False
    names = files.list_names(folder)
    if list_checkpoints(folder) or any(
        name.endswith((".index", ".h5", ".keras")) for name in names
    ):
        return False
    # The lock is the first file that a training run writes.
    return CONFIG_FILE in names or LOCK_NAME in names or (timeout is not None and not names)


def wait_for_checkpoint(
    folder: str, after: str | None, timeout: float | None, total: int | None = None
) -> str | None:
    """Waits for a checkpoint newer than `after`; logs it now and every ten minutes.

    Args:
        folder: The run's folder.
        after: The newest checkpoint so far, or None.
        timeout: Seconds to wait; None waits forever.
        total: Total steps of the run, if known.

    Returns:
        The newest checkpoint; None after the timeout, or if training has stopped early.
    """
    if after is None:
        wanted = f"the first checkpoint in {folder}"
    else:
        of = "" if total is None else f" of {total}"
        wanted = f"a checkpoint in {folder} after step {step_of(after)}{of}"
    limit = (
        "set `eval_timeout=SECONDS` to limit this" if timeout is None else f"{timeout:g} s at most"
    )
    log.info(f"Waiting for {wanted} ({limit}; Ctrl-C to stop).")
    start = logged = time.monotonic()
    while True:
        found = list_checkpoints(folder)
        if found and (after is None or step_of(found[-1]) > step_of(after)):
            newest = latest_checkpoint(folder)
            if newest is not None and (after is None or step_of(newest) > step_of(after)):
                return newest
        if has_ended(folder):
            log.info(f"Training in {folder} stopped early: no more checkpoints will follow.")
            return None
        now = time.monotonic()
        if timeout is not None and now - start >= timeout:
            log.info(f"No new checkpoint within {timeout:g} s (`eval_timeout`).")
            return None
        if now - logged >= _REMINDER_SECONDS:
            minutes = (now - start) / 60
            log.info(f"Still waiting for {wanted} after {minutes:.0f} minutes.")
            logged = now
        time.sleep(_POLL_SECONDS)


def tell_images(options: RunOptions) -> None:
    """Logs the number of evaluation images if `eval_samples` differs from it."""
    if options.use_fake_data or not options.val_file_pattern:
        return
    wanted = options.eval_samples
    available = num_records(options.val_file_pattern)
    if wanted < available:
        log.info(f"Evaluating {wanted} of {available} images (`eval_samples={wanted}`).")
    elif wanted > available and "eval_samples" in options.written:
        log.info(f"`eval_samples={wanted}`, but only {available} images exist: evaluating all.")


def _evaluate_once(options: RunOptions) -> dict[str, float]:
    metrics, evaluation = evaluate_once(options)
    log.info(evaluation.full_report(metrics))
    return metrics


def evaluate_once(options: RunOptions) -> tuple[dict[str, float], Evaluation]:
    """Evaluates the model in `model_dir`, writing nothing; returns metrics and evaluation."""
    evaluator, task, _ = _prepare(options)
    config = task.config
    with (
        _errors_explained(options, evaluator, task),
        task_of_config(config).checking_results(options, config),
    ):
        metrics, _, evaluation = evaluator.evaluate()
    return metrics, evaluation


@contextlib.contextmanager
def _errors_explained(
    options: RunOptions, evaluator: Evaluator, task: TrainingTask
) -> Iterator[None]:
    """Explains errors from damaged records or lack of memory, with remedies."""
    memory = out_of_memory.answered(options, task.config, evaluator.strategy, "evaluation")
    of_masks = task_of_config(task.config).of_masks
    with memory, data_errors(options.val_file_pattern, of_masks=of_masks):
        yield


def _prepare(options: RunOptions) -> tuple[Evaluator, TrainingTask, keras.Model]:
    """Loads the model in `model_dir`; `model_name` is used if the folder does not name it."""
    strategy = devices.connect_for_evaluation(options)
    with strategy.scope():
        loaded = run_setup.task_of_run(options).load(options)
    task = task_of_config(loaded.config).build_task(options, loaded.config, loaded.class_names)
    evaluator = Evaluator(task, loaded.model, strategy, options.eval_batch_size)
    return evaluator, task, loaded.model


def _follow_run(options: RunOptions, folder: str, *, follow: bool) -> dict[str, float]:
    """Evaluates the newest checkpoint of a run, then, to follow it, each new one up to the last."""
    newest = latest_checkpoint(folder)
    if newest is None:
        raise UserError(f"No checkpoint in {folder} can be read.")
    evaluator, task, model = _prepare(options)
    writer = None
    if logger_names(options.log_to):
        writer = tf.summary.create_file_writer(files.join(folder, options.eval_name or "eval"))
    while newest is not None:
        started = time.monotonic()
        checkpoint = _read_existing(folder, newest)
        assign_by_path(model.weights, {**checkpoint.weights, **checkpoint.ema}, "weights", newest)
        with _errors_explained(options, evaluator, task):
            metrics, _, evaluation = evaluator.evaluate()
            report = evaluation.full_report(metrics)
        if writer is not None:
            write_scalars(writer, checkpoint.step, metrics)
            writer.flush()
        total = checkpoint.meta.get("total_steps")
        log.info(f"Step {checkpoint.step} of {total} ({newest}):\n{report}")
        # A checkpoint without optimizer slots is an archived one: nothing will follow it.
        if checkpoint.optimizer:
            images = task.num_evaluation_images
            if task.best_metric in metrics and archive_if_best(
                folder,
                checkpoint,
                metrics,
                task.best_metric,
                images=images,
                side_files=functools.partial(evaluation.archived_files, checkpoint.step),
            ):
                log.info(f"New best; archived in {files.join(folder, ARCHIVE_NAME)}.")
        with said_in_a_line("the details of the evaluation"):
            add_evaluation(folder, checkpoint.step, metrics)
            write_evaluation(folder, checkpoint.step, metrics, evaluation, writer, complete=True)
            log.info(f"Report: {build_report(folder)}")
        if not follow or not checkpoint.optimizer or total is None or checkpoint.step >= total:
            break
        newest = wait_for_checkpoint(folder, newest, options.eval_timeout, total)
        pause = options.min_eval_interval - (time.monotonic() - started)
        if newest is not None and step_of(newest) < total and pause > 0:
            time.sleep(pause)
            newest = latest_checkpoint(folder) or newest
    if writer is not None:
        writer.close()
    return metrics


def _read_existing(folder: str, path: str) -> Checkpoint:
    """Reads a checkpoint, or the newest one if training has deleted it in the meantime."""
    return read_checkpoint(path if files.is_file(path) else folder)
