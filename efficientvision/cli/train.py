"""`main.py`: training, evaluation, or both in turn."""

from __future__ import annotations

import contextlib
import sys

import tensorflow as tf
from absl import flags

from efficientvision import files
from efficientvision.cli import (
    bad_records,
    class_names,
    devices,
    evaluate,
    first_weights,
    out_of_memory,
    preflight,
    run_setup,
)
from efficientvision.cli.flags import MODES, report_obsolete
from efficientvision.cli.run_folder import FolderKeeper
from efficientvision.configs import TrainingConfig
from efficientvision.data.checks import data_errors
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names
from efficientvision.report.build import REPORT_NAME, build_report
from efficientvision.report.observer import RunReport, said_in_a_line
from efficientvision.tasks.base import Task
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, best_objective, repair_archive
from efficientvision.training.checkpoints import latest_checkpoint, step_of
from efficientvision.training.distribution import is_chief, wait_for_all
from efficientvision.training.early_stopping import EarlyStopping
from efficientvision.training.leftovers import remove_leftovers
from efficientvision.training.observer import Observer
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.run_lock import RunLock
from efficientvision.training.run_log import RESULTS_NAME
from efficientvision.training.schedules import Schedule
from efficientvision.training.trainer import Trainer


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int:
    """Runs `--mode`.

    Args:
        argv: What was no flag; not used.
        flag_values: Parsed flags of `define_train_flags`.

    Returns:
        The exit code.

    Raises:
        UserError: Bad flags or bad input.
    """
    del argv
    report_obsolete(flag_values)
    if flag_values.mode not in MODES:
        raise UserError(
            f"Unknown --mode={flag_values.mode}: it is one of {', '.join(MODES)}. "
            f"{nearest_names(flag_values.mode, MODES)}"
        )
    run_setup.check_flags(flag_values)
    if flag_values.mode == "report":
        print(build_report(flag_values.model_dir))
    elif flag_values.mode == "eval":
        run_setup.find_data(flag_values)
        bad_records.leave_out(flag_values)
        evaluate.run(flag_values)
    else:
        return train(flag_values)
    return 0


def train(given: flags.FlagValues) -> int:
    """Trains; after every epoch (`train_and_eval`) or at the end on request, evaluates.

    Returns:
        The exit code: 0, or 128 + the signal that ended the run early.
    """
    config = run_setup.training_config(given)
    strategy = devices.connect(given, config)
    run_setup.find_data(given)
    bad_records.leave_out(given)
    class_names.settle_label_map(config, given.train_file_pattern, given.val_file_pattern)
    run_setup.task_setup(given).fit_to_data(given, config)
    names = run_setup.class_names(config, given.train_file_pattern, given.val_file_pattern)
    if latest_checkpoint(given.model_dir) is not None:
        class_names.check_no_new_classes(given.model_dir, config, names)
    plan = run_setup.training_plan(given, config)
    schedule = run_setup.learning_rates(config, plan)
    if given.preflight == "only":
        if is_chief(strategy):
            preflight.run(given, config, names, plan, schedule)
        return 0
    with contextlib.ExitStack() as stack:
        keeper = None
        if is_chief(strategy):
            lock = stack.enter_context(RunLock(given.model_dir))
            keeper = FolderKeeper(
                lock, lambda: run_setup.write_sidecars(given.model_dir, config, names)
            )
            remove_leftovers(given.model_dir)
            preflight.run(given, config, names, plan, schedule)
        return _train(given, config, strategy, plan, schedule, names, keeper)


def _train(
    given: flags.FlagValues,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    plan: TrainingPlan,
    schedule: Schedule,
    names: dict[int, str],
    keeper: FolderKeeper | None,
) -> int:
    """The rest of `train`, once the folder is this run's; `keeper` is the chief's."""
    task = run_setup.build_task(given, config, names)
    trainer = run_setup.build_trainer(
        given, config, task, strategy, plan, schedule, observers(given, config, task, keeper)
    )
    total = trainer.plan.total_steps
    when = {
        "evaluate_epochs": given.mode == "train_and_eval",
        "evaluate_end": given.eval_after_train,
    }
    if trainer.is_chief and any(when.values()):
        repair_archive(given.model_dir, task.best_metric)
    newest = latest_checkpoint(given.model_dir)
    if (
        newest is not None
        and step_of(newest) >= total
        and not trainer.lacks(step_of(newest), **when)
    ):
        print(
            f"This run is finished: {newest} is at step {step_of(newest)} of {total}. Raise "
            "--num_epochs to train on, or choose another --model_dir."
        )
        if trainer.is_chief:
            _complete_report(given.model_dir)
        return 0
    first_weights.initialize(trainer, given, config, names)
    if keeper is not None:
        if newest is not None:
            of_masks = config.task == "segmentation"
            class_names.tell_changed_names(given.model_dir, names, of_masks=of_masks)
        keeper.write()
    with contextlib.ExitStack() as stack:
        stack.enter_context(out_of_memory.answered(given, config, strategy, "training"))
        for pattern in filter(None, (given.train_file_pattern, given.val_file_pattern)):
            stack.enter_context(data_errors(pattern, of_masks=config.task == "segmentation"))
        trainer.run(**when, eval_name=given.eval_name)
    if trainer.is_chief and not trainer.stop_signal:
        print(final_message(trainer, task.best_metric))
    wait_for_all(strategy)
    return 128 + trainer.stop_signal if trainer.stop_signal else 0


def _complete_report(folder: str) -> None:
    """Draws the page anew where the run ended before it could show the last results."""
    page, results = files.join(folder, REPORT_NAME), files.join(folder, RESULTS_NAME)
    stale = not files.is_file(page) or (
        files.is_file(results) and files.modified(page) < files.modified(results)
    )
    if stale:
        with said_in_a_line(REPORT_NAME):
            build_report(folder)


def observers(
    given: flags.FlagValues,
    config: TrainingConfig,
    task: Task,
    keeper: FolderKeeper | None = None,
) -> list[Observer]:
    """What looks on at the run beside its own log."""
    watching: list[Observer] = [keeper] if keeper else []
    watching.append(RunReport(sys.orig_argv, given.eval_name))
    if config.early_stopping_patience:
        watching.append(
            EarlyStopping(
                task.best_metric,
                patience=config.early_stopping_patience,
                min_delta=config.early_stopping_min_delta,
            )
        )
    return watching


def final_message(trainer: Trainer, metric: str) -> str:
    """Where everything is."""
    folder = trainer.model_dir
    archive, results = files.join(folder, ARCHIVE_NAME), files.join(folder, RESULTS_NAME)
    lines = [
        f"Done: {trainer.state.step} steps of {trainer.plan.batch_size} images.",
        *left_out_lines(trainer),
        f"  last checkpoint  {latest_checkpoint(folder)}",
    ]
    best = best_objective(folder)
    if best is not None and files.is_folder(archive):
        lines.append(f"  best checkpoint  {archive} ({metric} {best:.4f})")
    if files.is_file(results):
        lines.append(f"  losses, metrics  {results}")
    page = files.join(folder, REPORT_NAME)
    if files.is_file(page):
        lines.append(f"  all of it        {page}")
    lines.append(f"  curves           tensorboard --logdir={folder}")
    return "\n".join(lines)


def left_out_lines(trainer: Trainer) -> list[str]:
    """How many steps were not applied, if any."""
    counts = trainer.state.counts()
    lines = []
    if skipped := int(counts.get("skipped_steps", 0)):
        lines.append(f"  left out         {skipped} steps that were not finite (--on_nan=skip)")
    if overflows := int(counts.get("overflow_steps", 0)):
        lines.append(
            f"  left out         {overflows} steps while the float16 loss scale was found "
            f"(now {counts['loss_scale']:g})"
        )
    return lines
