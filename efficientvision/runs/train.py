"""Training, evaluation, or both in turn: the work of `main.py`."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Sequence

import tensorflow as tf

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import MODES, RunOptions
from efficientvision.data.checks import data_errors
from efficientvision.errors import UserError
from efficientvision.preflight.findings import Finding
from efficientvision.registry import nearest_names
from efficientvision.report.build import REPORT_NAME, build_report
from efficientvision.report.observer import RunReport, said_in_a_line
from efficientvision.runs import (
    bad_records,
    class_names,
    data_defaults,
    devices,
    distillation,
    evaluate,
    first_weights,
    out_of_memory,
    preflight,
    recipe,
    run_setup,
    seeds,
    start,
)
from efficientvision.runs.final_message import final_message
from efficientvision.runs.loggers.choice import (
    TENSORBOARD,
    build_loggers,
    check_loggers,
    logger_names,
)
from efficientvision.runs.run_data import write_data
from efficientvision.runs.run_folder import FolderKeeper, write_sidecars
from efficientvision.runs.worker_logs import log_on_chief_only, restoring_log_levels
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.teacher import Teacher
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training.best_checkpoint import repair_archive
from efficientvision.training.callbacks import Callback
from efficientvision.training.checkpoints import latest_checkpoint, step_of
from efficientvision.training.distribution import is_chief, wait_for_all
from efficientvision.training.early_stopping import EarlyStopping
from efficientvision.training.leftovers import remove_leftovers
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.run_lock import RunLock
from efficientvision.training.run_log import RESULTS_NAME
from efficientvision.training.schedules import Schedule
from efficientvision.weights.seed_runs import read_seeds

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run that is fully configured: everything but its network.

    Attributes:
        options: Options, completed from the data.
        located: Options with the records of the data, before unreadable ones were left out.
        config: Hyper-parameters.
        strategy: Distribution strategy.
        names: Class number (1..K; of masks from 0) -> name; may be empty.
        plan: Length of the run.
        schedule: Learning-rate schedule.
        command: Command that started the run, for `command.txt`.
        callbacks: Additional callbacks, besides those of every run.
        findings: Findings of the preflight; None if it did not run here.
        teacher: Network from which the student learns, or None.
    """

    options: RunOptions
    located: RunOptions
    config: TrainingConfig
    strategy: tf.distribute.Strategy
    names: dict[int, str]
    plan: TrainingPlan
    schedule: Schedule
    command: str
    callbacks: Sequence[Callback] = ()
    findings: Sequence[Finding] | None = None
    teacher: Teacher | None = None


def run(options: RunOptions, command: str) -> int:
    """Trains, evaluates or redraws the report, depending on `options.mode`.

    Args:
        options: Options of the run.
        command: Command that started the run.

    Returns:
        The exit code of the program: see `train`.

    Raises:
        UserError: The options exclude each other, or the input is invalid.
    """
    if options.mode not in MODES:
        raise UserError(
            f"Unknown `mode={options.mode}`: expected one of {', '.join(MODES)}. "
            f"{nearest_names(options.mode, MODES)}"
        )
    options = run_setup.check_options(options)
    if options.mode == "report":
        several = read_seeds(options.model_dir) is not None
        log.info((seeds.sum_up if several else build_report)(options.model_dir))
        return 0
    if options.mode == "eval":
        located = run_setup.find_data(options)
        evaluate.run(bad_records.leave_out(located), located)
        return 0
    return train(options, command)


@restoring_log_levels
def train(
    options: RunOptions,
    command: str,
    callbacks: Sequence[Callback] = (),
    *,
    evaluate_if_possible: bool = False,
) -> int:
    """Trains, and evaluates after every epoch (`train_and_eval`) or, on request, at the end.

    Args:
        options: Options of the run, already checked.
        command: Command that started the run.
        callbacks: See `Run`.
        evaluate_if_possible: Evaluate if there is data for it and `mode` is not set, as with
            `defaults=data`.

    Returns:
        The exit code: 0, or 128 + the signal that ended the run early.
    """
    if options.seeds > 1:
        return seeds.train_seeds(
            options,
            lambda one: train(one, command, callbacks, evaluate_if_possible=evaluate_if_possible),
        )
    check_loggers(options.log_to)
    options = start.resolve(data_defaults.of_run(options))
    evaluate_if_possible |= options.defaults == "data"
    config = run_setup.training_config(options)
    recipe.apply(options, config)
    strategy = devices.connect(options, config)
    log_on_chief_only(strategy)
    located = run_setup.find_data(options)
    options = bad_records.leave_out(located)
    if evaluate_if_possible and "mode" not in options.written and options.val_file_pattern:
        options = options.replace(mode="train_and_eval")
    run_setup.check_early_stopping(options, config)
    class_names.drop_recipe_label_map(config, options.train_file_pattern, options.val_file_pattern)
    kept = None
    if options.defaults == "data":
        teacher_name = distillation.teacher_name(options)
        options, kept = data_defaults.complete(options, config, strategy, teacher_name)
    else:
        options = run_setup.task_of_run(options).fit_to_data(options, config)
    names = run_setup.class_names(config, options.train_file_pattern, options.val_file_pattern)
    if latest_checkpoint(options.model_dir) is not None:
        class_names.check_no_new_classes(options.model_dir, config, names)
    plan = run_setup.training_plan(options, config)
    schedule = run_setup.learning_rates(config, plan)
    teacher, of_teacher = distillation.load_teacher(options, config, names, strategy)
    decided = Run(
        *(options, located, config, strategy, names, plan, schedule, command, callbacks),
        teacher=teacher,
    )
    if options.preflight == "only":
        if is_chief(strategy):
            preflight.run(options, config, names, plan, schedule, of_teacher)
            if teacher is not None:
                run_setup.build_task(options, config, names).learn_from(teacher)
        return 0
    with contextlib.ExitStack() as stack:
        keeper = None
        if is_chief(strategy):
            lock = stack.enter_context(RunLock(options.model_dir))
            keeper = FolderKeeper(
                lock, lambda: _write_sidecars(options, located, config, names, kept)
            )
            remove_leftovers(options.model_dir)
            findings = preflight.run(options, config, names, plan, schedule, of_teacher)
            decided = dataclasses.replace(decided, findings=findings)
        return _train(decided, keeper)


def _write_sidecars(
    options: RunOptions,
    located: RunOptions,
    config: TrainingConfig,
    names: dict[int, str],
    kept: data_defaults.Kept | None,
) -> None:
    write_sidecars(options.model_dir, config, names)
    write_data(options.model_dir, located)
    start.write(options.model_dir, options)
    if kept is not None:
        kept.write(options.model_dir)


def _train(decided: Run, keeper: FolderKeeper | None) -> int:
    """The rest of `train`, once the folder is locked; only the chief has a `keeper`."""
    options, config, names = decided.options, decided.config, decided.names
    task = run_setup.build_task(options, config, names)
    if decided.teacher is not None:
        task.learn_from(decided.teacher)
    trainer = run_setup.build_trainer(
        options,
        config,
        task,
        decided.strategy,
        decided.plan,
        decided.schedule,
        run_callbacks(decided, task, keeper),
    )
    if decided.teacher is not None:
        distillation.warn_of_small_teacher(decided.teacher, trainer.model)
    total = trainer.plan.total_steps
    if message := task.plan_message(trainer.plan.batch_size, total):
        log.info(message)
    when = {
        "evaluate_epochs": options.mode == "train_and_eval",
        "evaluate_end": options.eval_after_train,
    }
    if trainer.is_chief and any(when.values()):
        repair_archive(options.model_dir, task.best_metric)
    newest = latest_checkpoint(options.model_dir)
    if (
        newest is not None
        and step_of(newest) >= total
        and not trainer.lacks(step_of(newest), **when)
    ):
        log.info(
            f"This run is finished: {newest} is at step {step_of(newest)} of {total}. Raise "
            "`num_epochs` to continue training, or choose another `model_dir`."
        )
        if trainer.is_chief:
            _complete_report(options.model_dir)
        return 0
    first_weights.initialize(trainer, options, config, names)
    if keeper is not None:
        if newest is not None:
            of_masks = task_of_config(config).of_masks
            class_names.tell_changed_names(options.model_dir, names, of_masks=of_masks)
        keeper.write()
    with contextlib.ExitStack() as stack:
        stack.enter_context(out_of_memory.answered(options, config, decided.strategy, "training"))
        for pattern in options.record_patterns.values():
            stack.enter_context(data_errors(pattern, of_masks=task_of_config(config).of_masks))
        trainer.run(**when)
    if trainer.is_chief and not trainer.stop_signal:
        log.info(final_message(trainer, decided.located, decided.command))
    wait_for_all(decided.strategy)
    return 128 + trainer.stop_signal if trainer.stop_signal else 0


def _complete_report(folder: str) -> None:
    """Redraws the report if the run ended before it could show the last results."""
    page, results = files.join(folder, REPORT_NAME), files.join(folder, RESULTS_NAME)
    stale = not files.is_file(page) or (
        files.is_file(results) and files.modified(page) < files.modified(results)
    )
    if stale:
        with said_in_a_line(REPORT_NAME):
            build_report(folder)


def run_callbacks(
    decided: Run, task: TrainingTask, keeper: FolderKeeper | None = None
) -> list[Callback]:
    """Returns the callbacks of a run, besides its own table and progress."""
    config, options = decided.config, decided.options
    callbacks: list[Callback] = [keeper] if keeper else []
    in_tensorboard = TENSORBOARD in logger_names(options.log_to)
    callbacks.append(
        RunReport(
            decided.command,
            options.eval_name,
            decided.findings,
            writes_tensorboard=in_tensorboard,
        )
    )
    if config.early_stopping_patience:
        callbacks.append(
            EarlyStopping(
                task.best_metric,
                patience=config.early_stopping_patience,
                min_delta=config.early_stopping_min_delta,
            )
        )
    parameters = {**options.shown(), **config.as_dict()}
    # After the report, so that its pictures are written.
    callbacks += build_loggers(options.log_to, parameters, options.eval_name)
    return [*callbacks, *decided.callbacks]
