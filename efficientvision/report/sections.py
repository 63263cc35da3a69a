"""The report's sections of text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import Interval, Intervals, shown_interval
from efficientvision.evaluation.details import BACKGROUND
from efficientvision.preflight.findings import ERROR, WARNING, counted
from efficientvision.report.markup import Markup, join, tag
from efficientvision.report.run_files import RunFiles, number
from efficientvision.tasks.choice import get_config

_MOST_COUNTS = 20  # Classes up to which the cells of the confusion matrix show counts.
_MOST_CELLS = 100  # Classes up to which it is a table.
_MOST_CONFUSED = 20


def tiles(run: RunFiles) -> Markup:
    """The run's key figures."""
    best, last = run.best, run.evaluations.get(max(run.evaluations, default=-1), {})
    shown = []
    (first, first_name), *others = [
        (key, name) for key, name in run.words.headline.items() if key in best or key in last
    ] or [("", "")]
    if best and first:
        note = f"at step {best.get('step', '?'):,}{_likely(run.best_intervals, first)}"
        shown.append((f"Best {first_name}", percent(best.get(first)), note))
        shown += [(f"{name} there", percent(best.get(key)), None) for key, name in others[:1]]
    if last and first:
        step = max(run.evaluations)
        note = f"at step {step:,}{_likely(_intervals_at(run, step), first)}"
        shown.append((f"Last {first_name}", percent(last.get(first)), note))
    total = run.facts.get("total_steps")
    shown.append(("Steps", f"{run.step:,}", f"of {total:,}" if total else None))
    if run.seconds is not None:
        shown.append(("Time", duration(run.seconds), "including evaluations"))
    if parameters := run.facts.get("parameters"):
        shown.append(("Parameters", f"{parameters / 1e6:.2f} M", None))
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value, note and tag("small", note)))
            for name, value, note in shown
        ),
        class_="tiles",
    )


def setup(run: RunFiles) -> Markup:
    """Model, data and machine."""
    config, facts, evaluation = run.config, run.facts, run.evaluation
    epochs = facts.get("num_epochs")
    rows = {
        "Model": config.get("name"),
        "Input": _input_size(config.get("image_size")),
        "Classes": run.num_classes or None,
        "Training data": facts.get("training_files"),
        "Validation data": facts.get("evaluation_files"),
        "Validation images": evaluation and _images(evaluation, run.words.things),
        "Batch size": facts.get("batch_size") and _batch(facts),
        "Schedule": epochs
        and f"{epochs:,} epochs of {facts['examples_per_epoch']:,} images, "
        f"{facts['total_steps']:,} steps",
        "Optimizer": config.get("optimizer") and _optimizer(config),
        "Machine": facts.get("devices"),
        "Versions": ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items()),
    }
    return tag(
        "dl",
        *(join(tag("dt", name), tag("dd", value)) for name, value in rows.items() if value),
        class_="facts",
    )


def metrics_table(run: RunFiles) -> Markup | None:
    """All metrics of the best and of the last evaluation."""
    columns = {}
    if run.best:
        columns[f"best (step {run.best['step']:,})"] = run.best, run.best_intervals
    if run.evaluations:
        step = max(run.evaluations)
        if step != run.best.get("step"):
            columns[f"last (step {step:,})"] = run.evaluations[step], _intervals_at(run, step)
    if not columns:
        return None
    body = [
        [
            meaning,
            *(_with_interval(name, values.get(name), found) for values, found in columns.values()),
        ]
        for name, meaning in run.words.metrics
        if any(name in values for values, _ in columns.values())
    ]
    notes = [found.explained() for _, found in columns.values() if found is not None]
    return join(
        table(run.words.metrics_caption, ["metric", *columns], body),
        tag("p", notes[0]) if notes else None,
    )


def _intervals_at(run: RunFiles, step: int) -> Intervals | None:
    return run.intervals if run.evaluation.get("step") == step else None


def _likely(found: Intervals | None, name: str) -> str:
    """The interval of a metric, for a note under it."""
    text = "" if found is None else found.described(name)
    return f", {text}" if text else ""


def _with_interval(name: str, value: Any, found: Intervals | None) -> Markup:
    """A cell of the metrics table: the value, and its interval below."""
    limits = None if found is None else found.of.get(name)
    small = None if limits is None else tag("small", shown_interval(name, limits))
    return tag("td", _number(name, value), small)


def per_class_table(run: RunFiles) -> Markup:
    """The metrics of each class, one row per class."""
    columns = [column for column in run.words.columns if column.key in run.per_class[0]]
    head = ["class", *(column.heading for column in columns)]
    found = run.intervals.of if run.intervals is not None else {}
    body = [
        [
            row["class"],
            *(_cell(row[c.key], c.kind, found.get(f"{c.key}_/{row['class']}")) for c in columns),
        ]
        for row in run.per_class
    ]
    note = run.words.classes_note
    if found:
        note += f" Under a bar: its {run.intervals.level:.0%} interval over the photos."
    return join(tag("p", note), table("Metrics per class", head, body))


def confusion_table(run: RunFiles) -> Markup | None:
    """The confusion matrix as a table, if it is small enough to read."""
    labels, counts = run.matrix
    if len(labels) > _MOST_CELLS + 1:
        return None
    totals = np.maximum(counts.sum(axis=1), 1)
    small = len(labels) > _MOST_COUNTS + 1
    body = []
    for label, row, total in zip(labels, counts.tolist(), totals.tolist(), strict=True):
        titles = (f"{label}, {run.words.detected} {other}" for other in labels)
        cells = zip(titles, row, strict=True)
        body.append([label, *(_heat(title, n, n / total, small=small) for title, n in cells)])
    caption = f"Ground truth (rows), {run.words.detected} (columns)"
    if small:
        caption += "; point at a cell for its classes and count"
    return table(caption, ["truth", *labels], body, "matrix small" if small else "matrix")


def confusions(run: RunFiles) -> Markup | None:
    """The most frequent confusions of two classes, if the matrix is too large to read."""
    labels, counts = run.matrix
    if len(labels) <= _MOST_COUNTS + 1:
        return None
    totals = counts.sum(axis=1)
    between = counts.copy()
    np.fill_diagonal(between, 0)
    background = [i for i, label in enumerate(labels) if label == BACKGROUND]
    between[background] = 0
    between[:, background] = 0
    order = np.argsort(-between, axis=None, kind="stable")[:_MOST_CONFUSED]
    body = []
    for truth, taken in zip(*np.unravel_index(order, counts.shape), strict=True):
        if count := int(between[truth, taken]):
            share = percent(count / int(totals[truth]))
            body.append([labels[truth], labels[taken], f"{count:,}", share])
    if not body:
        return None
    head = ["truth", run.words.detected, "count", "percent of the class"]
    return table("Most frequent confusions", head, body, text=2)


def findings(run: RunFiles) -> Markup | None:
    """The findings of the preflight: errors and warnings, and the rest on demand."""
    if not run.findings:
        return None
    shown: dict[bool, list[list[Any]]] = {True: [], False: []}
    counts = dict.fromkeys((ERROR, WARNING), 0)
    for finding in run.findings:
        level = finding["level"]
        if level in counts:
            counts[level] += 1
        label = tag("span", level, class_=f"level {level}")
        cells = [label, finding["subject"], finding["found"], finding["advice"]]
        shown[level in counts].append(cells)
    note = (
        "What the checks before the last start found: "
        f"{counted(counts[ERROR], 'error')}, {counted(counts[WARNING], 'warning')}."
    )
    head = ["", "check", "found", "what to do"]
    bad = table("Errors and warnings", head, shown[True], "findings", text=4)
    passed = len(shown[False])
    good = tag(
        "details",
        tag("summary", f"{counted(passed, 'check')} passed"),
        table("Checks passed", head[:3], [row[:3] for row in shown[False]], "findings", text=3),
    )
    return join(tag("p", note), bad if shown[True] else None, good if passed else None)


def settings(run: RunFiles) -> Markup:
    """The hyper-parameters that differ from the model's defaults, then all of them."""
    changed = _changed(run.config)
    head = ["name", "value", "default"]
    return join(
        table("Changed from the model's defaults", head, changed, text=3) if changed else None,
        tag("details", tag("summary", "Full config.yaml"), tag("pre", run.config_text)),
    )


def table(
    caption: str,
    head: Sequence[Any],
    body: Sequence[Sequence[Any]],
    class_: str | None = None,
    *,
    text: int = 1,
) -> Markup:
    """A table that scrolls if it does not fit. The first `text` columns contain text."""
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", _line(head, "th", "col", text)),
            tag("tbody", *(_line(cells, "td", "row", text) for cells in body)),
            class_=class_,
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _line(cells: Sequence[Any], element: str, scope: str, text: int) -> Markup:
    """A row of a table; cells of type `Markup` are already elements."""
    scopes = {"scope": "col"} if element == "th" else {}
    others = [
        cell
        if isinstance(cell, Markup)
        else tag(
            element,
            _label(cell) if element == "th" else cell,
            class_="text" if column < text else None,
            **scopes,
        )
        for column, cell in enumerate(cells[1:], start=1)
    ]
    return tag("tr", tag("th", _label(cells[0]), scope=scope, class_="text"), *others)


def _label(cell: Any) -> Any:
    return cell if isinstance(cell, Markup) else tag("span", cell)


def percent(value: Any) -> str:
    """Formats a share as a percentage with one decimal; a dash if it is undefined."""
    share = number(value)
    return "-" if share is None or share < 0 else f"{100 * share:.1f}"


def duration(seconds: float) -> str:
    """Formats seconds for people."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _cell(value: Any, kind: str, interval: Interval | None = None) -> Any:
    """Formats a field of `per_class.csv` for its column."""
    if kind == "count":
        return f"{int(value):,}"
    return _bar(value, interval) if kind == "bar" else percent(value)


def _number(name: str, value: Any) -> str:
    """Formats a metric: a percentage, except for losses."""
    loss = number(value) if name.endswith("loss") else None
    return percent(value) if loss is None else f"{loss:.4f}"


def _images(evaluation: dict[str, Any], things: tuple[str, str] | None) -> str:
    counts = f"{evaluation['images']:,}"
    if things and things[0] in evaluation:
        counts += f" with {evaluation[things[0]]:,} {things[1]}"
    return counts


def _bar(value: Any, interval: Interval | None) -> Markup:
    """A cell with a bar, its value, and the interval as an error bar and a text."""
    share = number(value)
    if share is None:
        return tag("td", "-")
    spread: tuple[Markup, ...] = ()
    if interval is not None:
        low, high = (100 * limit for limit in interval)
        line = tag("i", style=f"left: {low:.1f}%; width: {high - low:.1f}%")
        spread = (tag("small", f"{low:.0f} to {high:.0f}"), line)
    style = f"--share: {100 * share:.0f}%"
    return tag("td", percent(share), *spread, class_="bar", style=style)


def _heat(title: str, count: int, share: float, *, small: bool) -> Markup:
    """A cell of the confusion matrix; a small one tells its count only when pointed at."""
    if small and not count:
        return Markup("<td></td>")
    # The square root makes rare confusions visible in a cell without a number.
    shown = 0.15 + 0.85 * share**0.5 if small else 0.6 * share
    return tag(
        "td",
        None if small else f"{count:,}",
        class_="heat",
        style=f"--share: {shown:.2f}",
        title=f"{title}: {count:,} ({share:.1%})",
    )


def _input_size(size: Any) -> str | None:
    if isinstance(size, int):
        return f"{size} x {size}"
    return None if size is None else str(size)


def _batch(facts: dict[str, Any]) -> str:
    replicas = facts.get("replicas", 1)
    share = f", {facts['batch_size'] // replicas} per device on {replicas} devices"
    return f"{facts['batch_size']:,} images" + (share if replicas > 1 else "")


def _optimizer(config: dict[str, Any]) -> str:
    rate = config.get("learning_rate")
    return f"{config['optimizer']}, learning_rate {rate:g}, {config.get('lr_decay_method')} decay"


def _changed(config: dict[str, Any]) -> list[list[str]]:
    """Name, value and default of the hyper-parameters that differ from the model's defaults."""
    try:
        defaults = get_config(str(config.get("name")), task=config.get("task")).as_dict()
    except UserError:
        return []
    return [
        [name, str(value), str(defaults.get(name))]
        for name, value in sorted(config.items())
        if value != defaults.get(name)
    ]
