"""`report.html`: a self-contained page about a run."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from PIL import Image

import efficientvision
from efficientvision import files
from efficientvision.errors import as_command
from efficientvision.report import sections
from efficientvision.report.markup import Markup, data_uri, join, tag
from efficientvision.report.run_files import RunFiles
from efficientvision.visualize.sheet import Picture, halves, read_sheet

_NO_PLOTS = "Plots need matplotlib (pip install matplotlib)."
# Total bytes of all photos before base64 adds a third: the file stays under 5 MB.
_PHOTO_BYTES = 2_600_000
_QUALITIES = (82, 65, 45, 25, 10)

_FOLDER = {
    "report.html": "this page",
    "config.yaml, labels.json": "hyper-parameters and class names, read back by every command",
    "command.txt, run.json": "the command, versions and devices of the run",
    "results.csv": "losses and metrics, one row per epoch; losses.csv has the losses in finer "
    "steps, evaluations.csv the results of mode=eval",
    "last, best": "point to the latest and the best checkpoint: ckpt=RUN/best, ckpt_path=RUN/last",
    "ckpt-*.npz, archive/": "the latest checkpoints, and the best one with its metrics",
    "evaluation.json, per_class.csv, pr_curves.csv, confusion_matrix.csv": (
        "details of the last evaluation"
    ),
    "curves.png, pr_curves.png, confusion_matrix.png": "the plots on this page",
    "train_batch.jpg, val_predictions.jpg": "the photos on this page",
    "train/, eval/": f"TensorBoard logs: {as_command('tensorboard', logdir='RUN')}",
}


def report_page(run: RunFiles, plots: Mapping[str, str], matrix_png: bytes) -> str:
    """Returns the page as HTML text.

    Args:
        run: The run's folder.
        plots: Name -> `<svg>` element: "losses", "metrics", "learning_rate", "gradient_norm" and
            "precision_recall", as far as available. Empty without matplotlib.
        matrix_png: The confusion matrix as a picture, for matrices too large for a table.
    """
    parts = _parts(run, plots, matrix_png)
    title = files.base_name(files.absolute(run.folder)) or "run"
    model = run.config.get("name", "a run")
    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title}: {model}"),
        tag("style", Markup(style())),
    )
    links = [tag("li", tag("a", name, href=f"#{anchor}")) for anchor, name, _ in parts]
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", title),
            tag("p", _summary(run), class_="soft"),
            sections.tiles(run),
            tag("nav", tag("ul", *links), aria_label="Sections"),
        ),
        tag("main", *(_section(*part) for part in parts)),
        tag("footer", f"efficientvision {efficientvision.__version__}, {written}."),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def style() -> str:
    """Returns the page's style sheet."""
    return resources.files("efficientvision.report").joinpath("style.css").read_text("utf8")


def _parts(
    run: RunFiles, plots: Mapping[str, str], matrix_png: bytes
) -> list[tuple[str, str, Markup]]:
    """(anchor, heading, content) of each section that has something to show."""
    batch = read_sheet(run.train_batch) if run.train_batch else []
    predicted = read_sheet(run.predictions) if run.predictions else []
    words = run.words
    shown_images = [
        image
        for picture in predicted
        for image in (halves(picture.image) if words.pairs else [picture.image])
    ]
    encoded = iter(_encoded([*shown_images, *(picture.image for picture in batch)]))
    curves = [_plot(plots[name], label) for name, label in _CURVES.items() if name in plots]
    parts = [
        ("setup", "Model and data", sections.setup(run)),
        ("curves", "Curves", tag("div", *curves, class_="plots") if curves else _no_plots()),
        ("metrics", "Metrics", sections.metrics_table(run)),
    ]
    if run.per_class:
        parts.append(("classes", "Classes", join(_of_step(run), sections.per_class_table(run))))
    if run.pr_curves:
        plot = plots.get("precision_recall")
        shown = _plot(plot, "Precision-recall curve of each class") if plot else None
        content = tag("div", shown, class_="plots wide") if shown else _no_plots()
        parts.append(("precision-recall", "Precision and recall", join(_of_step(run), content)))
    if run.confusion:
        parts.append(("confusion", "Confusion matrix", _confusion(run, matrix_png)))
    if predicted:
        kind = "pairs" if words.pairs else "singles"
        shown = _photos(predicted, encoded, kind, words.predicted_alt)
        note = tag("p", words.predictions_note)
        parts.append(("predictions", "Predictions", join(note, _of_step(run), shown)))
    if batch:
        shown = _photos(batch, encoded, "singles", ("Training image.",))
        text = "The first batch after the last start, as fed to the network after augmentation."
        parts.append(("training-batch", "Training batch", join(tag("p", text), shown)))
    if run.config_text:
        parts.append(("configuration", "Configuration", sections.settings(run)))
    if run.command:
        parts.append(("command", "Command", tag("pre", run.command, class_="wrap")))
    names = (join(tag("dt", tag("code", n)), tag("dd", text)) for n, text in _FOLDER.items())
    parts.append(("folder", "Files", tag("dl", *names, class_="facts files")))
    return [part for part in parts if part[2]]


_CURVES = {
    "losses": "Training losses by step",
    "metrics": "Validation metrics by step",
    "learning_rate": "Learning rate by step",
    "gradient_norm": "Gradient norm by step",
}


def _section(anchor: str, heading: str, content: Markup) -> Markup:
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
    step = run.evaluation.get("step")
    return None if step is None else tag("p", f"Evaluation at step {step:,}.", class_="soft")


def _no_plots() -> Markup:
    return tag("p", _NO_PLOTS, class_="soft")


def _plot(svg: str, label: str) -> Markup:
    return tag("figure", Markup(svg), role="img", aria_label=label)


def _confusion(run: RunFiles, matrix_png: bytes) -> Markup:
    threshold = run.evaluation.get("score_threshold")
    note = run.words.matrix_note
    if threshold is not None:
        note += (
            f" Only detections with a score of at least {threshold:g} are counted, the threshold "
            "with the best mean F1 over the classes: a good min_score_thresh."
        )
    matrix = sections.confusion_table(run)
    if matrix is None and matrix_png:
        label = f"Confusion matrix of {run.num_classes:,} classes"
        matrix = tag("img", src=data_uri(matrix_png, "image/png"), alt=label)
    return join(tag("p", note), _of_step(run), matrix or _no_plots(), sections.confusions(run))


def _photos(
    pictures: list[Picture],
    encoded: Iterator[tuple[bytes, int, int]],
    kind: str,
    alts: Sequence[str],
) -> Markup:
    """A figure for each picture, which consists of `len(alts)` images."""
    figures = []
    for picture in pictures:
        images = []
        for alt in alts:
            content, width, height = next(encoded)
            source = data_uri(content, "image/jpeg")
            text = f"{alt} {picture.caption}".strip()
            images.append(tag("img", src=source, alt=text, width=width, height=height))
        caption = tag("figcaption", picture.caption) if picture.caption else None
        figures.append(tag("figure", tag("div", *images), caption))
    return tag("div", *figures, class_=f"pictures {kind}")


def _encoded(images: list[Image.Image]) -> list[tuple[bytes, int, int]]:
    """JPEG file, width and height of each image, at the best quality at which all of them fit."""
    contents: list[bytes] = []
    for quality in _QUALITIES:
        contents = []
        for image in images:
            content = io.BytesIO()
            image.save(content, "JPEG", quality=quality)
            contents.append(content.getvalue())
        if sum(map(len, contents)) <= _PHOTO_BYTES:
            break
    return [(c, *image.size) for c, image in zip(contents, images, strict=True)]
