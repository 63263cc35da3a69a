"""`main.py`: training, evaluation, or both in turn."""

from __future__ import annotations

import contextlib
from pathlib import Path

from absl import flags

from efficientvision.cli import evaluate, run_setup
from efficientvision.cli.flags import MODES, report_obsolete
from efficientvision.data.checks import data_errors
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names
from efficientvision.training.best_checkpoint import best_objective
from efficientvision.training.checkpoints import latest_checkpoint, step_of
from efficientvision.training.run_log import RESULTS_NAME
from efficientvision.training.trainer import Trainer

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Runs `--mode`."""
    del argv
    report_obsolete(FLAGS)
    if FLAGS.mode not in MODES:
        raise UserError(
            f"Unknown --mode={FLAGS.mode}: it is one of {', '.join(MODES)}. "
            f"{nearest_names(FLAGS.mode, MODES)}"
        )
    run_setup.check_flags(FLAGS)
    if FLAGS.mode == "eval":
        evaluate.run(FLAGS)
    else:
        train(FLAGS)


def train(given: flags.FlagValues) -> None:
    """Trains; after every epoch (`train_and_eval`) or at the end on request, evaluates."""
    config = run_setup.training_config(given)
    names = run_setup.class_names(config, given.train_file_pattern, given.val_file_pattern)
    task = run_setup.build_task(given, config, names)
    trainer = run_setup.build_trainer(given, config, task)
    total = trainer.plan.total_steps
    newest = latest_checkpoint(given.model_dir)
    if newest is not None and step_of(newest) >= total:
        print(
            f"This run is finished: {newest} is at step {step_of(newest)} of {total}. Raise "
            "--num_epochs to train on, or choose another --model_dir."
        )
        return
    run_setup.initialize(trainer, given, config)
    run_setup.write_sidecars(given.model_dir, config, names)
    with contextlib.ExitStack() as stack:
        for pattern in filter(None, (given.train_file_pattern, given.val_file_pattern)):
            stack.enter_context(data_errors(pattern))
        trainer.run(
            evaluate_epochs=given.mode == "train_and_eval",
            evaluate_end=given.eval_after_train,
            eval_name=given.eval_name,
        )
    print(final_message(trainer, task.best_metric))


def final_message(trainer: Trainer, metric: str) -> str:
    """Where everything is."""
    folder = Path(trainer.model_dir)
    lines = [
        f"Done: {trainer.state.step} steps of {trainer.plan.batch_size} images.",
        f"  last checkpoint  {latest_checkpoint(folder)}",
    ]
    best = best_objective(folder)
    if best is not None and (folder / "archive").is_dir():
        lines.append(f"  best checkpoint  {folder / 'archive'} ({metric} {best:.4f})")
    if (folder / RESULTS_NAME).is_file():
        lines.append(f"  losses, metrics  {folder / RESULTS_NAME}")
    lines.append(f"  curves           tensorboard --logdir={folder}")
    return "\n".join(lines)
