"""Writes the files of an evaluation into the run's folder, besides its row in `results.csv`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.tasks.training_task import Evaluation, Mistake
from efficientvision.training.tables import read_steps, write_table
from efficientvision.visualize.sheet import Picture, write_sheet

EVALUATION_NAME = "evaluation.json"
EVALUATIONS_NAME = "evaluations.csv"
PREDICTIONS_NAME = "val_predictions.jpg"
MISTAKES_NAME = "mistakes.json"
MISTAKES_SHEET_NAME = "mistakes.jpg"
MOST_MISTAKES = 20
_COLUMNS = 2
_MISTAKE_COLUMNS = 4
_LOGGED_PICTURES = 4


def write_evaluation(
    model_dir: AnyPath,
    step: int,
    metrics: Mapping[str, float],
    evaluation: Evaluation,
    writer: tf.summary.SummaryWriter | None = None,
    *,
    complete: bool = False,
) -> None:
    """Writes the details of the evaluation at a step, replacing those of the previous one.

    Writes `evaluation.json` (step, metrics, counts, score threshold), a CSV file for each table
    of `Evaluation.details`, `Evaluation.side_files`, `val_predictions.jpg`, and the first pictures
    to TensorBoard.

    Args:
        model_dir: The run's folder.
        step: Step of the evaluated checkpoint.
        metrics: Its metrics.
        evaluation: The evaluation.
        writer: TensorBoard's writer, or None.
        complete: Also write what takes longer: confidence intervals, into `evaluation.json`, and
            the worst mistakes, `mistakes.json` and `mistakes.jpg`; those of a detector are cut out
            of photos that are read again.
    """
    details = evaluation.details()
    if details is None:
        return
    for name, rows in details.tables.items():
        write_table(model_dir, f"{name}.csv", rows)
    for name, text in evaluation.side_files(step).items():
        files.write_text(files.join(model_dir, name), text)
    pictures = evaluation.pictures()
    if pictures:
        files.write_bytes(files.join(model_dir, PREDICTIONS_NAME), write_sheet(pictures, _COLUMNS))
        if writer is not None:
            with writer.as_default(step=step):
                write_pictures("val_predictions", pictures[:_LOGGED_PICTURES])
            writer.flush()
    facts = {"step": step, **details.facts, "metrics": dict(metrics)}
    if complete and evaluation.intervals is not None:
        facts["intervals"] = evaluation.intervals.table()
    files.write_text(files.join(model_dir, EVALUATION_NAME), json.dumps(facts, indent=1) + "\n")
    if complete:
        _write_mistakes(model_dir, step, evaluation.mistakes(MOST_MISTAKES))


def _write_mistakes(model_dir: AnyPath, step: int, mistakes: Sequence[Mistake]) -> None:
    path = files.join(model_dir, MISTAKES_SHEET_NAME)
    if mistakes:
        pictures = [mistake.picture for mistake in mistakes]
        columns = 1 if pictures[0].panels > 1 else _MISTAKE_COLUMNS
        files.write_bytes(path, write_sheet(pictures, columns))
    elif files.is_file(path):
        files.remove(path)  # It shows those of an earlier step.
    table = {"step": step, "mistakes": [mistake.facts for mistake in mistakes]}
    text = json.dumps(table, indent=1, ensure_ascii=False)
    files.write_text(files.join(model_dir, MISTAKES_NAME), text + "\n")


def add_evaluation(model_dir: AnyPath, step: int, metrics: Mapping[str, float]) -> None:
    """Adds a row to `evaluations.csv`, for evaluations outside a training run.

    Does nothing without metrics (test-dev).
    """
    if not metrics:
        return
    rows = [row for row in read_steps(model_dir, EVALUATIONS_NAME) if int(row["step"]) != step]
    rows.append({"step": step, **metrics})
    write_table(model_dir, EVALUATIONS_NAME, sorted(rows, key=lambda row: int(row["step"])))


def write_pictures(name: str, pictures: Sequence[Picture]) -> None:
    """Writes pictures to the default summary writer at its step.

    Writes the format of `tf.summary.image`, which would need the tensorboard package: a string
    tensor of width, height and the encoded pictures, marked for the plugin "images".
    """
    encoded = []
    for picture in pictures:
        content = io.BytesIO()
        picture.image.save(content, "JPEG", quality=80)
        encoded.append(content.getvalue())
    width, height = pictures[0].image.size
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="images"),
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    content = [str(width).encode(), str(height).encode(), *encoded]
    tf.summary.write(name, tf.constant(content), metadata=metadata)
