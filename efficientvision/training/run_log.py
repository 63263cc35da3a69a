"""Progress of a run: progress bar, TensorBoard, results.csv."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.progress import tqdm
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.callbacks import Callback
from efficientvision.training.tables import read_steps, table_to_go_on, write_table

log = logging.getLogger(__name__)

RESULTS_NAME = "results.csv"


class RunLog(Callback):
    """Shows a run's progress as a progress bar, in TensorBoard and in `results.csv`.

    `results.csv` has a row per epoch (or evaluation): step, epoch, images, seconds, means of the
    losses over the epoch, and the metrics if it was evaluated.

    Args:
        model_dir: The run's folder; TensorBoard files go to `train/` and `eval/` in it.
        batch_size: Images per step.
        total_steps: Number of steps of the whole run.
        first_step: Number of steps that a resumed run has done before.
        eval_name: Name of the evaluation's subfolder.
    """

    def __init__(
        self,
        model_dir: AnyPath,
        *,
        batch_size: int,
        total_steps: int,
        first_step: int = 0,
        eval_name: str | None = None,
    ):
        self._dir = files.as_text(model_dir)
        self._batch_size = batch_size
        self._total_steps = total_steps
        self._train = tf.summary.create_file_writer(files.join(self._dir, "train"))
        self._eval = tf.summary.create_file_writer(files.join(self._dir, eval_name or "eval"))
        self._bar = tqdm(
            total=total_steps,
            initial=first_step,
            desc="training",
            unit="step",
            dynamic_ncols=True,
            smoothing=0.1,
        )
        self._rows = table_to_go_on(self._dir, RESULTS_NAME, first_step, self.say)
        spent = _seconds(self._rows[-1]) if self._rows else 0.0
        self._start = time.perf_counter() - spent

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Shows the means of the last `steps` steps, which took `seconds`."""
        rate = steps * self._batch_size / seconds
        shown = {k: f"{v:.3f}" for k, v in losses.items() if k.endswith("loss")}
        self._bar.set_postfix({"images/s": f"{rate:.1f}", **shown}, refresh=False)
        self._bar.update(steps)
        with self._train.as_default(step=step):
            for name, value in {**losses, "images_per_second": rate}.items():
                write_scalar(name, value)

    def say(self, text: str) -> None:
        """Logs a line without breaking the bar."""
        log.info(text)

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Writes the metrics of a step to TensorBoard and logs their table."""
        with self._eval.as_default(step=step):
            for name, value in metrics.items():
                write_scalar(name, value)
        self._eval.flush()
        mark = " (best so far)" if best else ""
        self.say(f"Step {step} of {self._total_steps}{mark}:\n{report}")

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Adds a row to `results.csv`, or completes the row of this step."""
        row = {
            "step": step,
            "epoch": epoch,
            "images": step * self._batch_size,
            "seconds": f"{time.perf_counter() - self._start:.1f}",
        }
        row |= {name: f"{value:.6g}" for name, value in values.items()}
        if self._rows and int(self._rows[-1]["step"]) == step:
            row = self._rows.pop() | row
        self._rows.append(row)
        write_table(self._dir, RESULTS_NAME, self._rows)
        self._train.flush()

    def end(self) -> None:
        """Closes the bar and the files."""
        self._bar.close()
        self._train.close()
        self._eval.close()


def write_scalar(name: str, value: float) -> None:
    """Writes a number to the default summary writer at its step.

    `tf.summary.scalar` would require the tensorboard package, which is only needed to read the
    files.
    """
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_SCALAR
    )
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)


def read_results(model_dir: AnyPath) -> list[dict[str, str]]:
    """Rows of a run's `results.csv` that have a step; empty if there is no such file.

    Raises:
        UserError: The file is damaged.
    """
    return read_steps(model_dir, RESULTS_NAME)


def _seconds(row: Mapping[str, str]) -> float:
    try:
        return float(row.get("seconds") or 0)
    except ValueError:
        return 0.0
