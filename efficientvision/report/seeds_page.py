"""`report.html` of several seeds: their table, curves in one plot, classes, links to each page."""

from __future__ import annotations

import statistics

from efficientvision import files
from efficientvision.evaluation.shown import shown_metric
from efficientvision.report import figures, sections
from efficientvision.report.build import REPORT_NAME
from efficientvision.report.markup import Markup, join, tag
from efficientvision.report.page import no_plots, page_text, plot_figure, section
from efficientvision.report.plots import SERIES, Draw, Svg, can_plot, plot_svg
from efficientvision.report.run_files import RunFiles, number, read_run
from efficientvision.report.seeds_files import SeedSummary, run_name

_NOTE = (
    "Each run has its own initial weights, order of photos and augmentation; data, split and "
    "settings are equal. ± is the sample standard deviation over the seeds: how far a metric "
    "depends on the chance of training. How far it depends on the photos is shown by the intervals "
    "in the report of each run. The metrics are those of the best checkpoint of each run, chosen "
    "on the same photos; choosing the best of several runs on them, too, is optimistic."
)


def write_seeds_page(model_dir: str, found: SeedSummary) -> str:
    """Writes the page; returns its path."""
    names = [run_name(position) for position in range(len(found.seeds))]
    runs = {name: read_run(files.join(model_dir, name), ()) for name in names}
    title = files.base_name(files.absolute(model_dir)) or "runs"
    model = next(iter(runs.values())).config.get("name", "a model")
    parts = [
        ("seeds", "Seeds", join(tag("p", _NOTE), _table(found, names))),
        ("curves", "Curves", _curves(found, runs)),
        ("classes", "Classes", _classes(runs)),
    ]
    summary = f"{model}, {len(names)} seeds."
    shown = [section(*part) for part in parts if part[2]]
    text = page_text(
        title, f"{title}: {model}", join(tag("p", summary, class_="soft")), join(*shown)
    )
    path = files.join(model_dir, REPORT_NAME)
    files.write_text(path, text)
    return path


def _table(found: SeedSummary, names: list[str]) -> Markup:
    """A row for each seed, then mean and spread."""
    metrics = list(name for name in found.mean if "_/" not in name)
    body = []
    for name, seed in zip(names, found.seeds, strict=True):
        best = found.runs.get(name, {})
        link = tag("a", name, href=f"{name}/{REPORT_NAME}")
        mark = join(link, " (best)") if name == found.best else link
        step = f"{best['step']:,}" if "step" in best else "-"
        body.append([mark, str(seed), step, *(shown_metric(m, best.get(m)) for m in metrics)])
    if len(found.runs) > 1:
        body.append(["mean", "", "", *(shown_metric(m, found.mean[m]) for m in metrics)])
        body.append(["±", "", "", *(shown_metric(m, found.spread[m]) for m in metrics)])
        spans = [" to ".join(shown_metric(m, v) for v in found.limits[m]) for m in metrics]
        body.append(["range", "", "", *spans])
    return sections.table("Best checkpoint of each seed", ["run", "seed", "step", *metrics], body)


def _curves(found: SeedSummary, runs: dict[str, RunFiles]) -> Markup | None:
    """The deciding metric and the training loss of all seeds, a plot for each."""
    plots: list[tuple[str, Svg]] = []
    series: dict[str, figures.Series] = {}
    if found.metric is not None:
        each = {name: run.metric_series(found.metric) for name, run in runs.items()}
        series[f"{found.metric} (validation), percent"] = {
            name: (points[found.metric][0], [100 * value for value in points[found.metric][1]])
            for name, points in each.items()
            if points
        }
    losses = {name: run.loss_series("loss") for name, run in runs.items()}
    series["Loss (training)"] = {n: points["loss"] for n, points in losses.items() if points}
    if not any(series.values()):
        return None
    if not can_plot():
        return no_plots()
    for title, lines in series.items():
        if lines:
            plots.append((title, plot_svg(_drawn(title, lines), title)))
    shown = tag("div", *(plot_figure(plot, title) for title, plot in plots), class_="plots")
    rest = len(runs) > len(SERIES)
    return join(shown, tag("p", f"Curves of the first {len(SERIES)} seeds.") if rest else None)


def _drawn(title: str, lines: figures.Series) -> Draw:
    return lambda axes: figures.draw_series(axes, title, lines, log=title.startswith("Loss"))


def _classes(runs: dict[str, RunFiles]) -> Markup | None:
    """Mean and spread of the metrics of each class, of the last evaluation of each run."""
    tables = [run.per_class for run in runs.values() if run.per_class]
    if len(tables) < 2 or len({tuple(row["class"] for row in rows) for rows in tables}) > 1:
        return None
    words = next(iter(runs.values())).words
    columns = [c for c in words.columns if c.kind == "bar" and c.key in tables[0][0]]
    body = []
    for rows in zip(*tables, strict=True):
        cells = []
        for column in columns:
            values = [v for row in rows if (v := number(row[column.key])) is not None]
            spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{100 * statistics.fmean(values):.1f}{spread}" if values else "-")
        body.append([rows[0]["class"], *cells])
    caption = f"Mean ± standard deviation of {len(tables)} seeds, last evaluation of each"
    return sections.table(caption, ["class", *(c.heading for c in columns)], body)
