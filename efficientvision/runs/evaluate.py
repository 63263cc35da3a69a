"""`main.py --mode=eval`: a finished checkpoint once, or each new one of a running training."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

import keras
import tensorflow as tf

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import data_errors
from efficientvision.data.record_files import count_records, match_files
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export, load_export
from efficientvision.loading import CONFIG_FILE
from efficientvision.registry import DEFAULT_TASK
from efficientvision.report.build import build_report
from efficientvision.report.evaluation_files import add_evaluation, write_evaluation
from efficientvision.report.observer import said_in_a_line
from efficientvision.runs import devices, out_of_memory, run_setup
from efficientvision.tasks import tta_options
from efficientvision.tasks.choice import find_task, task_of_config
from efficientvision.tasks.training_task import TrainingTask
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
from efficientvision.training.run_log import write_scalar
from efficientvision.training.state import assign_by_path

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_REMINDER_SECONDS = 600.0


def run(options: RunOptions) -> dict[str, float]:
    """Evaluates what `model_dir` holds: a run of ours, a published checkpoint or an export.

    For test-dev, and with several looks at each photo, that is the newest checkpoint, once, and
    nothing is written to the run: its metrics compare plain evaluations.

    Returns:
        The metrics by name, of the last evaluation where there are several; none for a test
        server.
    """
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
        return _follow_run(options, folder)
    return _evaluate_once(options)


def _evaluate_export(options: RunOptions) -> dict[str, float]:
    """Prints the metrics of an exported model, or writes its results for the test server."""
    if tta_options.asks_for_tta(options):
        raise UserError(
            f"`model_dir={options.model_dir}` is an exported model, which sees each photo once; "
            "`test_flip` and `test_scales` need a checkpoint: name that"
        )
    run_batch, metadata = load_export(options.model_dir, trust=options.trust)
    task = find_task(metadata.task if metadata else DEFAULT_TASK, "")
    return task.evaluate_export(options, run_batch, metadata)


def is_awaited(folder: str, timeout: float | None) -> bool:
    """Whether a folder without checkpoints is one that a training will write to."""
    if not files.exists(folder) and not files.exists(f"{folder}.index"):
        return timeout is not None  # Else it is rather a slip of the pen.
    if not files.is_folder(folder):
        return False
    names = files.list_names(folder)
    if list_checkpoints(folder) or any(
        name.endswith((".index", ".h5", ".keras")) for name in names
    ):
        return False
    # The lock is the first file that a training writes.
    return CONFIG_FILE in names or LOCK_NAME in names or (timeout is not None and not names)


def wait_for_checkpoint(
    folder: str, after: str | None, timeout: float | None, total: int | None = None
) -> str | None:
    """Waits for a checkpoint newer than `after`; says so, and again every ten minutes.

    Args:
        folder: The run's folder.
        after: The newest one so far, or None.
        timeout: Seconds to wait; None: for ever.
        total: Steps of the whole run, if they are known.

    Returns:
        The newest one; None when the time is over, or the training has ended early.
    """
    if after is None:
        wanted = f"the first checkpoint in {folder}"
    else:
        of = "" if total is None else f" of {total}"
        wanted = f"a checkpoint in {folder} after step {step_of(after)}{of}"
    limit = "`eval_timeout=SECONDS` limits this" if timeout is None else f"{timeout:g} s at most"
    log.info(f"Waiting for {wanted} ({limit}; Ctrl-C ends it).")
    start = told = time.monotonic()
    while True:
        found = list_checkpoints(folder)
        if found and (after is None or step_of(found[-1]) > step_of(after)):
            newest = latest_checkpoint(folder)
            if newest is not None and (after is None or step_of(newest) > step_of(after)):
                return newest
        if has_ended(folder):
            log.info(f"The training in {folder} has ended early: no more checkpoints will come.")
            return None
        now = time.monotonic()
        if timeout is not None and now - start >= timeout:
            log.info(f"There was none in {timeout:g} s (`eval_timeout`).")
            return None
        if now - told >= _REMINDER_SECONDS:
            minutes = (now - start) / 60
            log.info(f"Still waiting for {wanted}, since {minutes:.0f} minutes.")
            told = now
        time.sleep(_POLL_SECONDS)


def tell_images(options: RunOptions) -> None:
    """Says how many images there are where `--eval_samples` means another number."""
    if options.use_fake_data or not options.val_file_pattern:
        return
    wanted = options.eval_samples
    available = sum(count_records(match_files(options.val_file_pattern)))
    if wanted < available:
        log.info(f"{wanted} of {available} images are evaluated (`eval_samples={wanted}`).")
    elif wanted > available and "eval_samples" in options.written:
        log.info(f"`eval_samples={wanted}`, and there are {available} images: all are evaluated.")


def _evaluate_once(options: RunOptions) -> dict[str, float]:
    evaluator, task, _ = _prepare(options)
    config = task.config
    with (
        _errors_explained(options, evaluator, task),
        task_of_config(config).checking_results(options, config),
    ):
        metrics, report, _ = evaluator.evaluate()
        log.info(report)
    return metrics


@contextlib.contextmanager
def _errors_explained(
    options: RunOptions, evaluator: Evaluator, task: TrainingTask
) -> Iterator[None]:
    """Answers damaged records, and too little memory, with what to do."""
    memory = out_of_memory.answered(options, task.config, evaluator.strategy, "evaluation")
    of_masks = task_of_config(task.config).of_masks
    with memory, data_errors(options.val_file_pattern, of_masks=of_masks):
        yield


def _prepare(options: RunOptions) -> tuple[Evaluator, TrainingTask, keras.Model]:
    """Loads what is in `--model_dir`; `--model_name` counts where the folder does not tell."""
    strategy = devices.connect_for_evaluation(options)
    with strategy.scope():
        loaded = run_setup.task_of_run(options).load(options)
    task = task_of_config(loaded.config).build_task(options, loaded.config, loaded.class_names)
    evaluator = Evaluator(task, loaded.model, strategy, options.eval_batch_size)
    return evaluator, task, loaded.model


def _follow_run(options: RunOptions, folder: str) -> dict[str, float]:
    """Evaluates the newest checkpoint of a run, then each new one until the last step."""
    newest = latest_checkpoint(folder)
    if newest is None:
        raise UserError(f"No checkpoint in {folder} can be read.")
    evaluator, task, model = _prepare(options)
    writer = tf.summary.create_file_writer(files.join(folder, options.eval_name or "eval"))
    while newest is not None:
        started = time.monotonic()
        checkpoint = _read_existing(folder, newest)
        assign_by_path(model.weights, {**checkpoint.weights, **checkpoint.ema}, "weights", newest)
        with _errors_explained(options, evaluator, task):
            metrics, report, evaluation = evaluator.evaluate()
        with writer.as_default(step=checkpoint.step):
            for name, value in metrics.items():
                write_scalar(name, value)
        writer.flush()
        total = checkpoint.meta.get("total_steps")
        log.info(f"Step {checkpoint.step} of {total} ({newest}):\n{report}")
        # A checkpoint without slots is an archived one: nothing will follow it.
        if checkpoint.optimizer:
            images = task.num_evaluation_images
            if task.best_metric in metrics and archive_if_best(
                folder, checkpoint, metrics, task.best_metric, images=images
            ):
                log.info(f"The best so far; archived in {files.join(folder, ARCHIVE_NAME)}.")
        with said_in_a_line("the details of the evaluation"):
            add_evaluation(folder, checkpoint.step, metrics)
            write_evaluation(folder, checkpoint.step, metrics, evaluation, writer)
            log.info(f"Report: {build_report(folder)}")
        if not checkpoint.optimizer or total is None or checkpoint.step >= total:
            break
        newest = wait_for_checkpoint(folder, newest, options.eval_timeout, total)
        pause = options.min_eval_interval - (time.monotonic() - started)
        if newest is not None and step_of(newest) < total and pause > 0:
            time.sleep(pause)
            newest = latest_checkpoint(folder) or newest
    writer.close()
    return metrics


def _read_existing(folder: str, path: str) -> Checkpoint:
    """Reads a checkpoint, or the newest one where the training has removed it meanwhile."""
    return read_checkpoint(path if files.is_file(path) else folder)
