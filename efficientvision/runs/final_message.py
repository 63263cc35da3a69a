"""The closing message of a training run: results, their paths, and what to type next."""

from __future__ import annotations

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import as_command
from efficientvision.evaluation.confidence import INTERVALS_NAME, Intervals, read_intervals
from efficientvision.evaluation.shown import shown_metric
from efficientvision.progress import duration
from efficientvision.report.build import REPORT_NAME
from efficientvision.report.facts import read_json
from efficientvision.runs.loggers.choice import TENSORBOARD, logger_names
from efficientvision.runs.next_commands import next_commands
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, best_objective
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.training.run_log import RESULTS_NAME, read_results, seconds_of
from efficientvision.training.trainer import Trainer


def final_message(trainer: Trainer, options: RunOptions, command: str) -> str:
    """Lists the results of the run, their paths, and the commands to type next."""
    folder, metric = trainer.model_dir, trainer.task.best_metric
    archive, results = files.join(folder, ARCHIVE_NAME), files.join(folder, RESULTS_NAME)
    rows = [
        ("last checkpoint", latest_checkpoint(folder)),
        ("losses, metrics", results if files.is_file(results) else None),
    ]
    page = files.join(folder, REPORT_NAME)
    rows.append(("report", page if files.is_file(page) else None))
    if TENSORBOARD in logger_names(options.log_to):
        rows.append(("curves", as_command("tensorboard", logdir=folder)))
    best = best_objective(folder)
    if best is not None and files.is_folder(archive):
        shown = f"{metric} {shown_metric(metric, best)}"
        found = best_intervals(folder)
        if found is not None and metric in found.of:
            shown += f", {found.described(metric)} over the {found.images:,} photos"
        rows.insert(0, ("best checkpoint", f"{latest_checkpoint(archive)} ({shown})"))
    steps, batch = trainer.state.step, trainer.plan.batch_size
    lines = [
        f"Done: {steps} steps of {batch} images in {_time_spent(folder)}.",
        *left_out_lines(trainer),
        *(f"  {label:<15}  {text}" for label, text in rows if text is not None),
        "Next:",
        *(f"  {label:<15}  {text}" for label, text in next_commands(command, options)),
    ]
    return "\n".join(lines)


def best_intervals(folder: str) -> Intervals | None:
    """Confidence intervals of the best checkpoint of a run; None: not written, or damaged."""
    try:
        return read_intervals(read_json(files.join(folder, ARCHIVE_NAME), INTERVALS_NAME))
    except (OSError, ValueError):
        return None


def _time_spent(folder: str) -> str:
    """The time of the whole run, with earlier sessions."""
    rows = read_results(folder)
    return duration(seconds_of(rows[-1]) if rows else 0.0)


def left_out_lines(trainer: Trainer) -> list[str]:
    """Reports how many steps were skipped, if any."""
    counts = trainer.state.counts()
    lines = []
    if skipped := int(counts.get("skipped_steps", 0)):
        lines.append(f"  skipped          {skipped} steps with non-finite values (`on_nan=skip`)")
    if overflows := int(counts.get("overflow_steps", 0)):
        lines.append(
            f"  skipped          {overflows} steps while finding the float16 loss scale "
            f"(now {counts['loss_scale']:g})"
        )
    return lines
