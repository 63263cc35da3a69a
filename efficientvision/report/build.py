"""Draws a run's plots and writes its `report.html`, from the files of its folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.report import figures
from efficientvision.report.page import report_page
from efficientvision.report.plots import Draw, Svg, can_plot, plot_png, plot_svg
from efficientvision.report.run_files import (
    SOURCES,
    STEP_TABLES,
    Row,
    RunFiles,
    check_is_run,
    number,
    read_run,
)
from efficientvision.tasks.training_task import VAL_LOSS
from efficientvision.training.tables import read_steps, read_table

log = logging.getLogger(__name__)

REPORT_NAME = "report.html"
CURVES_NAME = "curves.png"
PR_NAME = "pr_curves.png"
MATRIX_NAME = "confusion_matrix.png"
PLOT_NAMES = (CURVES_NAME, PR_NAME, MATRIX_NAME)
# Width and height in inches: wide enough for a legend beside the curves.
_SIZE = (6.2, 3.2)
_MATRIX_SIDES = (3.8, 0.22, 14.0)  # Without cells, per class, at most.


def build_report(model_dir: AnyPath, say: Callable[[str], None] = log.info) -> str:
    """Writes `curves.png`, `pr_curves.png`, `confusion_matrix.png` and `report.html`.

    Without matplotlib, only `report.html` is written, without plots. Damaged files in the folder
    are skipped with a message.

    Args:
        model_dir: The run's folder.
        say: Called with each message for the user, one line.

    Returns:
        The path of `report.html`.

    Raises:
        UserError: The folder does not belong to a run, or nothing in it can be shown.
        OSError: A file cannot be written.
    """
    check_is_run(model_dir)
    for name, content in _contents_of_what_is_whole(model_dir, say).items():
        files.write_bytes(files.join(model_dir, name), content)
    return files.join(model_dir, REPORT_NAME)


def _contents_of_what_is_whole(model_dir: AnyPath, say: Callable[[str], None]) -> dict[str, bytes]:
    """`_contents` without the files that cannot be read or shown.

    Damage may surface anywhere, so the damaged file is found by leaving out one at a time.
    """
    contents, first = _tried(model_dir, ())
    if contents:
        for name in STEP_TABLES:
            if lost := len(read_table(model_dir, name)) - len(read_steps(model_dir, name)):
                path = files.join(model_dir, name)
                say(f"{path}: {lost} damaged rows are not in the report.")
        return contents
    present = [name for name in SOURCES if files.exists(files.join(model_dir, name))]
    reasons = {name: _tried(model_dir, {*present} - {name})[1] for name in present}
    bad = [name for name in present if reasons[name]]
    guesses = [bad] if bad else [[name] for name in present]  # Else two files contradict.
    for names in guesses:
        contents, _ = _tried(model_dir, names)
        if contents:
            for name in names:
                path = files.join(model_dir, name)
                say(f"{path} is damaged and not in the report ({reasons[name] or first}).")
            return contents
    raise UserError(
        f"Cannot write the report of {files.as_text(model_dir)} ({first}). Remove the damaged "
        f"files among {', '.join(present)}, or restore them from a copy."
    )


def _tried(model_dir: AnyPath, without: Collection[str]) -> tuple[dict[str, bytes], str]:
    """Returns `_contents` and no reason, or no contents and the reason."""
    try:
        return _contents(read_run(model_dir, without)), ""
    except Exception as error:  # Damage can raise anything.
        return {}, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _contents(run: RunFiles) -> dict[str, bytes]:
    """The contents of the report's files, by name."""
    contents: dict[str, bytes] = {}
    svgs: dict[str, Svg] = {}
    if can_plot():
        draws = curve_draws(run)
        svgs = {name: plot_svg(draw, name) for name, draw in draws.items()}
        if draws:
            contents[CURVES_NAME] = plot_png(list(draws.values()), 2, _SIZE)
        draws = class_draws(run)
        svgs |= {name: plot_svg(draw, name) for name, draw in draws.items()}
        if draws:
            contents[PR_NAME] = plot_png(list(draws.values()), 1, _SIZE)
        if run.confusion:
            least, per_class, most = _MATRIX_SIDES
            side = min(most, least + per_class * len(run.confusion))
            contents[MATRIX_NAME] = plot_png([_confusion(run)], 1, (side + 0.6, side))
    page = report_page(run, svgs, contents.get(MATRIX_NAME, b""))
    return {**contents, REPORT_NAME: page.encode("utf8")}


def without_plots() -> str:
    """A sentence that names the files that are missing without matplotlib."""
    return f"{', '.join(PLOT_NAMES)} are not written: they need `pip install matplotlib`."


def curve_draws(run: RunFiles) -> dict[str, Draw]:
    """Returns the functions that draw the curves over the steps, for curves with data."""
    names = [name for name in (run.losses[0] if run.losses else ()) if name.endswith("loss")]
    draws: dict[str, Draw] = {}

    def add(key: str, title: str, series: figures.Series, *, log: bool = False) -> None:
        if series:
            draws[key] = lambda axes: figures.draw_series(axes, title, series, log=log)

    losses = run.loss_series(*names)
    validation = run.metric_series(VAL_LOSS) if losses else {}
    title = "Losses (training and validation)" if validation else "Losses (training)"
    first = {name: losses.pop(name) for name in ("loss",) if name in losses}
    add("losses", title, {**first, **validation, **losses}, log=True)
    percents = {
        name: (steps, [100 * value for value in values])
        for name, (steps, values) in run.metric_series(*run.words.curves).items()
    }
    add("metrics", run.words.curves_title, percents)
    add("learning_rate", "Learning rate", run.loss_series("learning_rate"))
    add("gradient_norm", "Gradient norm", run.loss_series("gradient_norm"), log=True)
    return draws


def class_draws(run: RunFiles) -> dict[str, Draw]:
    """Returns the functions that draw the curves of the classes, for those with data."""
    draws: dict[str, Draw] = {}
    if run.pr_curves:
        pairs = _curves(run.pr_curves, "recall", "precision")
        best = _points(run, "recall", "precision")
        draws["precision_recall"] = lambda axes: figures.draw_precision_recall(
            axes, pairs, best, run.words.pr_title
        )
    if run.f1_curves:
        curves, peaks = _curves(run.f1_curves, "threshold", "F1"), _points(run, "threshold", "F1")
        common = number(run.evaluation.get("score_threshold"))
        draws["f1"] = lambda axes: figures.draw_f1(axes, curves, peaks, common)
    return draws


def _curves(
    rows: Sequence[Row], first: str, second: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Class -> two columns of a table."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        columns = curves.setdefault(row["class"], ([], []))
        for column, name in zip(columns, (first, second), strict=True):
            column.append(float(row[name]))
    return curves


def _points(run: RunFiles, first: str, second: str) -> dict[str, tuple[float, float]]:
    """Class -> two columns of `per_class.csv`, for classes that have both."""
    pairs = {row["class"]: (number(row[first]), number(row[second])) for row in run.per_class}
    return {name: (x, y) for name, (x, y) in pairs.items() if x is not None and y is not None}


def _confusion(run: RunFiles) -> Draw:
    labels, counts = run.matrix
    return lambda axes: figures.draw_confusion(
        axes,
        labels,
        counts,
        title=run.words.matrix_title,
        detected=run.words.detected,
    )
