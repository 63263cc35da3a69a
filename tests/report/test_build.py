"""The page and the plots of a folder, without a browser."""

import html.parser
import re
import time

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.report import build, sections
from efficientvision.report import page as page_module
from efficientvision.report.build import build_report
from efficientvision.report.facts import write_findings
from efficientvision.report.run_files import read_run
from efficientvision.training.tables import write_table
from tests.report.made_run import FINDINGS, MISTAKES, write_made_run

_VOID = {"img", "input", "meta"}
PHOTOS = 2 * 8 + 4 + MISTAKES


class _Reader(html.parser.HTMLParser):
    """Holds a page to the rules of nesting, and collects what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = write_made_run(tmp_path_factory.mktemp("my run"))
    build_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text()


def test_everything_is_in_the_folder(folder):
    assert {path.name for path in folder.iterdir()} == {
        *("archive", "command.txt", "config.yaml", "confusion_matrix.csv", "confusion_matrix.png"),
        *("curves.png", "evaluation.json", "losses.csv", "per_class.csv", "pr_curves.csv"),
        *("pr_curves.png", "report.html", "results.csv", "run.json", "train_batch.jpg"),
        *("val_predictions.jpg", "f1_curves.csv", "mistakes.json", "mistakes.jpg"),
        *("preflight.json", "thresholds.json"),
    }


def test_the_page_shows_everything(page):
    text = " ".join("".join(_Reader(page).words).split())
    for heading in (
        *("Model and data", "Curves", "Metrics", "Classes", "Precision and recall"),
        *("Confusion matrix", "Predictions", "Training batch", "Configuration", "Command"),
        *("Preflight", "0 errors, 1 warning", "2 boxes <1 pixel", "remove them"),
        *("Worst mistakes", "Evaluation at step 200", "Missed", "Invented", "val_loss is"),
        *("loss on the validation images", "moving average of the weights (EMA"),
    ):
        assert heading in text
    assert "Best AP50.0at step 100" in text
    assert "Time62 min" in text and "Parameters3.88 M" in text
    assert "efficientdet-d0, 3 classes, at step 200 of 400." in text
    assert "python main.py --hparams='a=<1>'" in text
    assert "num_classes" in text and "image_size64512" in text
    assert text.count("<b>cat & dog") >= 3


def test_the_page_needs_nothing_but_itself(page):
    reader = _Reader(page)
    assert not reader.all("script") and not reader.all("link")
    for _, attributes in reader.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert not re.findall(r"@import|url\((?!#)", page)
    assert len(page) < 5_000_000


def test_the_page_can_be_heard(page):
    """Language, one first heading, names for what is drawn, headers in tables."""
    reader = _Reader(page)
    assert reader.all("html")[0]["lang"] == "en"
    assert len(reader.all("h1")) == 1 and len(reader.all("title")) == 1
    photos = reader.all("img")
    assert len(photos) == PHOTOS and all(photo["alt"] for photo in photos)
    assert all(photo["loading"] == "lazy" for photo in photos)
    boxes = reader.all("input")
    assert len(boxes) == PHOTOS and all(box["aria-label"] for box in boxes)
    plots = [element for element in reader.all("div") if element.get("role") == "img"]
    assert len(plots) == 6 and all(plot["aria-label"] for plot in plots)
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(header.get("scope") for header in reader.all("th"))
    anchors = {section["id"] for section in reader.all("section")}
    assert {link["href"] for link in reader.all("a")} == {f"#{anchor}" for anchor in anchors}
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_without_matplotlib_the_rest_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "can_plot", lambda: False)
    folder = write_made_run(tmp_path)
    build_report(folder)
    assert not list(folder.glob("*.png"))
    text = "".join(_Reader((folder / "report.html").read_text()).words)
    assert "pip install matplotlib" in text
    assert "Confusion matrix" in text and "Predictions" in text
    assert "curves.png" in build.without_plots() and "pip install" in build.without_plots()


@pytest.mark.parametrize("classes", [1, 30, pytest.param(120, marks=pytest.mark.slow)])
def test_few_and_many_classes(tmp_path, classes):
    pytest.importorskip("matplotlib")
    build_report(write_made_run(tmp_path, classes))
    page = (tmp_path / "report.html").read_text()
    text = "".join(_Reader(page).words)
    assert ("Most frequent confusions" in text) == (classes > 20)
    assert (f"Confusion matrix of {classes} classes" in page) == (classes > 100)
    assert (' title="' in page) == (classes <= 100)  # Of the cells.
    assert len(page) < 5_000_000


def _matrix(folder, labels, counts):
    rows = [
        {"truth": label, **dict(zip(labels, row, strict=True))}
        for label, row in zip(labels, counts.tolist(), strict=True)
    ]
    write_table(folder, "confusion_matrix.csv", rows)
    (folder / "config.yaml").write_text(f"name: efficientdet-d0\nnum_classes: {len(labels)}\n")
    return read_run(folder)


def test_a_confusion_matrix_that_is_too_large_for_counts(tmp_path):
    """Cells tell their classes when pointed at, and a list the worst ones."""
    labels = [f"種類 {'very ' * 20}{i}" for i in range(90)]
    counts = 50 * np.eye(90, dtype=int)
    counts[3, 7], counts[8, 2] = 25, 12
    run = _matrix(tmp_path, labels, counts)
    table = sections.confusion_table(run)
    assert f'title="{labels[3]}, detected as {labels[7]}: 25 (33.3%)"' in table
    assert table.count("title=") == 92 and table.count("<td></td>") == 90 * 90 - 92
    rows = _Reader(sections.confusions(run)).words
    assert rows[-8:] == [labels[3], labels[7], "25", "33.3", labels[8], labels[2], "12", "19.4"]


@pytest.mark.slow
def test_a_thousand_classes(tmp_path):
    pytest.importorskip("matplotlib")
    labels = [f"n{i:08} a class" for i in range(1000)]
    rng = np.random.default_rng(0)
    run = _matrix(tmp_path, labels, 50 * np.eye(1000, dtype=int) + rng.poisson(0.02, (1000, 1000)))
    assert sections.confusion_table(run) is None and sections.confusions(run).count("<tr>") == 21
    started = time.perf_counter()
    build_report(tmp_path)
    assert time.perf_counter() - started < 30
    assert (tmp_path / "confusion_matrix.png").exists()
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_photos_of_any_size_fit_the_page(tmp_path, monkeypatch):
    """Many large photos lose quality, then size."""
    monkeypatch.setattr(build, "can_plot", lambda: False)
    monkeypatch.setattr(page_module, "PHOTO_BYTES", 150_000)
    folder = write_made_run(tmp_path)
    build_report(folder)
    photos = _Reader((folder / "report.html").read_text()).all("img")
    assert len(photos) == PHOTOS
    assert sum(len(photo["src"]) for photo in photos) < 4 / 3 * 150_000 + 100 * PHOTOS


def test_the_report_of_a_run_that_broke_off(tmp_path, monkeypatch):
    """Losses and findings, but no evaluation."""
    monkeypatch.setattr(build, "can_plot", lambda: False)
    (tmp_path / "config.yaml").write_text("name: efficientdet-d0\n")
    write_table(tmp_path, "losses.csv", [{"step": 5, "steps": 5, "loss": 2.0}])
    write_findings(tmp_path, FINDINGS)
    build_report(tmp_path)
    text = " ".join("".join(_Reader((tmp_path / "report.html").read_text()).words).split())
    assert "not evaluated yet" in text and "2 boxes <1 pixel" in text and "EMA" not in text


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "config.yaml").write_text("name: efficientdet-d0\n")
    build_report(tmp_path)
    assert "not evaluated yet" in (tmp_path / "report.html").read_text()


def test_metrics_of_an_eval_job_are_shown(tmp_path):
    (tmp_path / "config.yaml").write_text("name: efficientdet-d0\n")
    (tmp_path / "evaluations.csv").write_text("step,AP\n10,0.25\n")
    build_report(tmp_path)
    assert "25.0" in (tmp_path / "report.html").read_text()


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(UserError, match="not a run's folder"):
        build_report(tmp_path)
    with pytest.raises(UserError, match="absent"):
        build_report(tmp_path / "absent")
