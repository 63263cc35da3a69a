"""`report.html`: a self-contained page about a run."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from PIL import Image

import efficientvision
from efficientvision import files
from efficientvision.errors import as_command
from efficientvision.report import sections
from efficientvision.report.markup import Markup, data_uri, join, tag
from efficientvision.report.plots import Svg
from efficientvision.report.run_files import RunFiles
from efficientvision.tasks.training_task import VAL_LOSS
from efficientvision.visualize.sheet import Picture, panels, read_sheet

_COLOR = re.compile("#[0-9a-f]{6}")
_NO_PLOTS = "Plots need matplotlib (pip install matplotlib)."
# Total bytes of all photos before base64 adds a third: the file stays under 8 MB.
PHOTO_BYTES = 4_800_000
# JPEG quality and size of the photos: the first at which all of them fit.
_QUALITIES = ((82, 1.0), (60, 1.0), (60, 0.7), (45, 0.5), (30, 0.3), (30, 0.1))

_FOLDER = {
    "report.html": "this page",
    "config.yaml, labels.json": "hyper-parameters and class names, read back by every command",
    "command.txt, run.json, preflight.json": (
        "the command, versions and devices of the run; the findings of the checks before it"
    ),
    "results.csv": "losses and metrics, one row per epoch; losses.csv has the losses in finer "
    "steps, evaluations.csv the results of mode=eval",
    "last, best": "point to the latest and the best checkpoint: ckpt=RUN/best, ckpt_path=RUN/last",
    "ckpt-*.npz, archive/": "the latest checkpoints, and the best one with its metrics",
    "evaluation.json, per_class.csv, pr_curves.csv, f1_curves.csv, confusion_matrix.csv": (
        "details of the last evaluation"
    ),
    "archive/intervals.json": (
        "confidence intervals of the best checkpoint; those of the last evaluation, if it was the "
        "best or the last of the run, are in evaluation.json"
    ),
    "mistakes.json": "the worst mistakes of the best or last evaluation",
    "curves.png, pr_curves.png, confusion_matrix.png": "the plots on this page",
    "train_batch.jpg, val_predictions.jpg, mistakes.jpg": "the photos on this page",
    "train/, eval/": f"TensorBoard logs: {as_command('tensorboard', logdir='RUN')}",
}


def report_page(run: RunFiles, plots: Mapping[str, Svg], matrix_png: bytes) -> str:
    """Returns the page as HTML text.

    Args:
        run: The run's folder.
        plots: Name -> plot: "losses", "metrics", "learning_rate", "gradient_norm",
            "precision_recall" and "f1", as far as available. Empty without matplotlib.
        matrix_png: The confusion matrix as a picture, for matrices too large for a table.
    """
    parts = _parts(run, plots, matrix_png)
    title = files.base_name(files.absolute(run.folder)) or "run"
    model = run.config.get("name", "a run")
    links = [tag("li", tag("a", name, href=f"#{anchor}")) for anchor, name, _ in parts]
    header = join(
        tag("p", _summary(run), class_="soft"),
        sections.tiles(run),
        tag("nav", tag("ul", *links), aria_label="Sections"),
    )
    main = join(*(section(*part) for part in parts))
    return page_text(title, f"{title}: {model}", header, main)


def page_text(heading: str, title: str, header: Markup, main: Markup) -> str:
    """The text of a page.

    Args:
        heading: Its heading.
        title: Title of the window.
        header: What follows the heading.
        main: The sections.
    """
    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style())),
    )
    body = tag(
        "body",
        tag("header", tag("h1", heading), header),
        tag("main", main),
        tag("footer", f"efficientvision {efficientvision.__version__}, {written}."),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def style() -> str:
    """Returns the page's style sheet."""
    return resources.files("efficientvision.report").joinpath("style.css").read_text("utf8")


def _parts(
    run: RunFiles, plots: Mapping[str, Svg], matrix_png: bytes
) -> list[tuple[str, str, Markup]]:
    """(anchor, heading, content) of each section that has something to show."""
    sheets = [
        read_sheet(content) if content else []
        for content in (run.predictions, run.mistakes_sheet, run.train_batch)
    ]
    predicted, mistakes, batch = sheets
    encoded = iter(_encoded([image for sheet in sheets for one in sheet for image in panels(one)]))
    words = run.words
    parts = [
        ("setup", "Model and data", sections.setup(run)),
        ("preflight", "Preflight", sections.findings(run)),
        ("curves", "Curves", _curves(run, plots)),
        ("metrics", "Metrics", sections.metrics_table(run)),
    ]
    if run.per_class:
        parts.append(("classes", "Classes", join(_of_step(run), sections.per_class_table(run))))
    if run.pr_curves:
        shown = [
            plot_figure(plots[name], label)
            for name, label in _CLASS_CURVES.items()
            if name in plots
        ]
        content = tag("div", *shown, class_="plots") if shown else no_plots()
        parts.append(("precision-recall", "Precision and recall", join(_of_step(run), content)))
    if run.confusion:
        parts.append(("confusion", "Confusion matrix", _confusion(run, matrix_png)))
    if predicted:
        photos = _photos(predicted, encoded, words.predicted_alt)
        note = tag("p", f"{words.predictions_note} {_ENLARGE}")
        parts.append(("predictions", "Predictions", join(note, _of_step(run), photos)))
    if mistakes:
        photos = _photos(mistakes, encoded, words.mistakes_alt)
        note = tag("p", f"{words.mistakes_note} {_ENLARGE}")
        step = _step_note(run.mistakes.get("step"))
        parts.append(("mistakes", "Worst mistakes", join(note, step, photos)))
    if batch:
        photos = _photos(batch, encoded, ("Training image.", "Its labels."))
        text = "The first batch after the last start, as fed to the network after augmentation."
        parts.append(("training-batch", "Training batch", join(tag("p", text), photos)))
    if run.config_text:
        parts.append(("configuration", "Configuration", sections.settings(run)))
    if run.command:
        parts.append(("command", "Command", tag("pre", run.command, class_="wrap")))
    names = (join(tag("dt", tag("code", n)), tag("dd", text)) for n, text in _FOLDER.items())
    parts.append(("folder", "Files", tag("dl", *names, class_="facts files")))
    return [part for part in parts if part[2]]


_ENLARGE = "Click a picture to enlarge it, and again to close it."
_CURVES = {
    "losses": "Losses by step",
    "metrics": "Validation metrics by step",
    "learning_rate": "Learning rate by step",
    "gradient_norm": "Gradient norm by step",
}
_CLASS_CURVES = {
    "precision_recall": "Precision-recall curve of each class",
    "f1": "F1 of each class by score threshold",
}


def section(anchor: str, heading: str, content: Markup) -> Markup:
    """A section with its heading."""
    label = f"{anchor}-heading"
    return tag("section", tag("h2", heading, id=label), content, id=anchor, aria_labelledby=label)


def _summary(run: RunFiles) -> str:
    config = run.config
    facts = [str(config.get("name", "A run"))]
    if run.num_classes:
        facts.append(f"{run.num_classes} classes")
    total = run.facts.get("total_steps")
    if total and run.step < total:
        facts.append(f"at step {run.step:,} of {total:,}")
    elif run.step:
        facts.append(f"{run.step:,} steps done")
    if not run.evaluations:
        facts.append("not evaluated yet")
    return ", ".join(facts) + "."


def _of_step(run: RunFiles) -> Markup | None:
    return _step_note(run.evaluation.get("step"))


def _step_note(step: int | None) -> Markup | None:
    return None if step is None else tag("p", f"Evaluation at step {step:,}.", class_="soft")


def _curves(run: RunFiles, plots: Mapping[str, Svg]) -> Markup:
    """The curves over the steps, with what the validation loss is."""
    shown = [plot_figure(plots[name], label) for name, label in _CURVES.items() if name in plots]
    if not shown:
        return no_plots()
    notes = []
    if any(VAL_LOSS in metrics for metrics in run.evaluations.values()):
        notes.append(run.words.loss_note)
    decay = run.config.get("moving_average_decay")
    if run.evaluations and decay:
        notes.append(
            "Evaluations use the moving average of the weights (EMA, moving_average_decay "
            f"{decay}), so validation curves lag behind the training losses at first."
        )
    note = tag("p", " ".join(notes)) if notes else None
    return join(tag("div", *shown, class_="plots"), note)


def no_plots() -> Markup:
    """Says that plots need matplotlib."""
    return tag("p", _NO_PLOTS, class_="soft")


def plot_figure(plot: Svg, label: str) -> Markup:
    """A plot with its legend beside it."""
    names = ", ".join(entry.name for entry in plot.legend)
    svg = tag(
        "div",
        Markup(plot.element),
        role="img",
        aria_label=f"{label}: {names}" if names else label,
    )
    entries = [
        tag("li", tag("span", style=f"border-top: 3px {entry.line} {entry.color}"), entry.name)
        for entry in plot.legend
    ]
    return tag("figure", svg, tag("ul", *entries, class_="legend lines") if entries else None)


def _confusion(run: RunFiles, matrix_png: bytes) -> Markup:
    threshold = run.evaluation.get("score_threshold")
    note = run.words.matrix_note
    if threshold is not None:
        note += (
            f" Only detections with a score of at least {threshold:.0%} are counted, the threshold "
            f"with the best mean F1 over the classes: a good min_score_thresh={threshold:g}."
        )
    matrix = sections.confusion_table(run)
    if matrix is None and matrix_png:
        label = f"Confusion matrix of {run.num_classes:,} classes"
        matrix = _zoom(data_uri(matrix_png, "image/png"), label)
    return join(tag("p", note), _of_step(run), matrix or no_plots(), sections.confusions(run))


def _zoom(source: str, alt: str, **size: int) -> Markup:
    """A picture that fills the window while its check box is set: no script is needed."""
    box = tag("input", type="checkbox", aria_label=f"Enlarge: {alt}")
    image = tag("img", src=source, alt=alt, loading="lazy", decoding="async", **size)
    return tag("label", box, image, class_="zoom")


def _photos(
    pictures: list[Picture], encoded: Iterator[tuple[bytes, int, int]], alts: Sequence[str]
) -> Markup:
    """A figure for each picture: its panels, caption and legend."""
    figures = []
    for picture in pictures:
        images = []
        for number in range(picture.panels):
            content, width, height = next(encoded)
            alt = f"{alts[min(number, len(alts) - 1)]} {picture.caption}".strip()
            source = data_uri(content, "image/jpeg")
            images.append(_zoom(source, alt, width=width, height=height))
        caption = tag("figcaption", picture.caption) if picture.caption else None
        figures.append(
            tag("figure", tag("div", *images, class_="panels"), caption, _legend(picture))
        )
    most = max(picture.panels for picture in pictures)
    return tag("div", *figures, class_=f"pictures of-{min(most, 4)}")


def _legend(picture: Picture) -> Markup | None:
    if not picture.legend:
        return None
    swatches = (
        tag("li", tag("span", style=f"background: {color}"), name)
        for name, color in picture.legend
        if _COLOR.fullmatch(color)
    )
    return tag("ul", *swatches, class_="legend")


def _encoded(images: list[Image.Image]) -> list[tuple[bytes, int, int]]:
    """JPEG file, width and height of each image, at the best quality at which all of them fit."""
    contents: list[tuple[bytes, int, int]] = []
    for quality, scale in _QUALITIES:
        contents = [_jpeg(image, quality, scale) for image in images]
        if sum(len(content) for content, _, _ in contents) <= PHOTO_BYTES:
            break
    return contents


def _jpeg(image: Image.Image, quality: int, scale: float) -> tuple[bytes, int, int]:
    if scale < 1:
        image = image.resize([max(1, round(scale * side)) for side in image.size])
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue(), *image.size
