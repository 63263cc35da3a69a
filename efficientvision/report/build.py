"""Draws a run's plots and writes its `report.html`, from the files of its folder."""

from __future__ import annotations

import numpy as np

from efficientvision import files
from efficientvision.evaluation.details import TRUTH_COLUMN
from efficientvision.files import AnyPath
from efficientvision.report import figures
from efficientvision.report.page import report_page
from efficientvision.report.plots import Draw, can_plot, plot_png, plot_svg
from efficientvision.report.run_files import RunFiles, number, read_run

REPORT_NAME = "report.html"
CURVES_NAME = "curves.png"
PR_NAME = "pr_curves.png"
MATRIX_NAME = "confusion_matrix.png"
PLOT_NAMES = (CURVES_NAME, PR_NAME, MATRIX_NAME)
_SIZE = (4.8, 3.2)
_SIZE_PR = (4.8, 3.8)


def build_report(model_dir: AnyPath) -> str:
    """Writes `curves.png`, `pr_curves.png`, `confusion_matrix.png` and `report.html`.

    Without matplotlib, `report.html` alone, without plots.

    Returns:
        The path of `report.html`.

    Raises:
        UserError: The folder holds nothing of a run.
        OSError: A file cannot be read or written.
    """
    run = read_run(model_dir)
    svgs: dict[str, str] = {}
    matrix = b""
    if can_plot():
        draws = curve_draws(run)
        svgs = {name: plot_svg(draw, name, _SIZE) for name, draw in draws.items()}
        if draws:
            _write(run, CURVES_NAME, plot_png(list(draws.values()), 2, _SIZE))
        if run.pr_curves:
            draw = _precision_recall(run)
            svgs["precision_recall"] = plot_svg(draw, "precision_recall", _SIZE_PR)
            _write(run, PR_NAME, plot_png([draw], 1, _SIZE_PR))
        if run.confusion:
            side = min(12.0, 3.5 + 0.22 * len(run.confusion))
            matrix = plot_png([_confusion(run)], 1, (side, side), long_labels=True)
            _write(run, MATRIX_NAME, matrix)
    path = files.join(run.folder, REPORT_NAME)
    files.write_text(path, report_page(run, svgs, matrix))
    return path


def without_plots() -> str:
    """What is left out where matplotlib is missing, in a sentence."""
    return f"{', '.join(PLOT_NAMES)} are left out: they need `pip install matplotlib`."


def curve_draws(run: RunFiles) -> dict[str, Draw]:
    """What draws each curve over the steps for which there are numbers."""
    names = [name for name in (run.losses[0] if run.losses else ()) if name.endswith("loss")]
    draws: dict[str, Draw] = {}

    def add(key: str, title: str, series: figures.Series, *, log: bool = False) -> None:
        if series:
            draws[key] = lambda axes: figures.draw_series(axes, title, series, log=log)

    add("losses", "Losses (training)", run.loss_series(*names), log=True)
    percents = {
        name: (steps, [100 * value for value in values])
        for name, (steps, values) in run.metric_series(*run.wording.curves).items()
    }
    add("metrics", run.wording.curves_title, percents)
    add("learning_rate", "Learning rate", run.loss_series("learning_rate"))
    add("gradient_norm", "Norm of the gradients", run.loss_series("gradient_norm"), log=True)
    return draws


def _precision_recall(run: RunFiles) -> Draw:
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in run.pr_curves:
        recalls, precisions = curves.setdefault(row["class"], ([], []))
        recalls.append(float(row["recall"]))
        precisions.append(float(row["precision"]))
    points = {
        row["class"]: (float(row["recall"]), float(row["precision"]))
        for row in run.per_class
        if number(row["recall"]) is not None
    }
    return lambda axes: figures.draw_precision_recall(axes, curves, points, run.wording.pr_title)


def _confusion(run: RunFiles) -> Draw:
    labels = [row[TRUTH_COLUMN] for row in run.confusion]
    counts = np.array([[int(row[label]) for label in labels] for row in run.confusion])
    return lambda axes: figures.draw_confusion(
        axes, labels, counts, title=run.wording.matrix_title, detected=run.wording.detected
    )


def _write(run: RunFiles, name: str, content: bytes) -> None:
    files.write_bytes(files.join(run.folder, name), content)
