"""The model card of a run: what `README.md` of a repository on the Hugging Face Hub says.

Numbers are those that were measured for the published checkpoint. Nothing of this machine is in it:
no paths, no names of users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from efficientvision.report.evaluation_files import MISTAKES_SHEET_NAME, PREDICTIONS_NAME
from efficientvision.report.run_files import RunFiles, number
from efficientvision.tasks.base import Task
from efficientvision.tasks.loaded_model import LoadedModel

LIBRARY = "efficientvision"
_MOST_NAMES = 10
_CLASS_PREFIX = "AP_/"


@dataclass(frozen=True)
class CardExport:
    """An exported file in the repository.

    Attributes:
        path: Its path there.
        bytes: Its size.
        milliseconds: Median time per photo; None: not measured.
        metrics: Measured percentages by name.
    """

    path: str
    bytes: int
    milliseconds: float | None = None
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class CardFacts:
    """Facts of a card beside the files of the run.

    Attributes:
        address: `user/repo`, or `user/repo@branch`.
        step: Training step of the checkpoint.
        metrics: Its metrics, fractions in 0..1, by name; empty: not measured.
        images: Number of images on which they were measured; None: unknown.
        parameters: Number of weights.
        weights_bytes: Size of the file of the weights.
        exports: Exported files.
        license: Licence of the weights, or None.
        datasets: Data sets on the hub.
        pictures: Whether pictures of validation photos are in the repository.
    """

    address: str
    step: int
    metrics: Mapping[str, float]
    images: int | None
    parameters: int
    weights_bytes: int
    exports: Sequence[CardExport] = ()
    license: str | None = None
    datasets: Sequence[str] = ()
    pictures: bool = False


def write_card(run: RunFiles, task: Task, loaded: LoadedModel, facts: CardFacts) -> str:
    """Writes the text of a model card.

    Args:
        run: The files of the run.
        task: Its task.
        loaded: Its configuration and class names.
        facts: The rest.

    Returns:
        Markdown that begins with the metadata that the hub reads.
    """
    name = facts.address.partition("@")[0].partition("/")[2]
    sections = [
        _front_matter(name, task, loaded, facts),
        f"# {name}",
        _about(task, loaded),
        _use(task, loaded, facts),
        _measured(task, facts),
        _classes(run, task, facts),
        _network(loaded, facts),
        _exports(facts.exports, run),
        _training(run),
        _limits(facts),
        _pictures(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(name: str, task: Task, loaded: LoadedModel, facts: CardFacts) -> str:
    shown = _shown_metrics(task, facts)
    table: dict[str, Any] = {
        **({"license": facts.license} if facts.license else {}),
        "library_name": LIBRARY,
        "pipeline_tag": task.pipeline_tag,
        "tags": [LIBRARY, "keras", loaded.config.name],
        **({"datasets": list(facts.datasets)} if facts.datasets else {}),
    }
    if shown:
        measured = [
            {"type": key, "name": meaning, "value": round(facts.metrics[key], 6)}
            for key, meaning in task.labels.headline.items()
            if key in shown
        ]
        data = facts.datasets[0] if facts.datasets else "held-out photos of the training data"
        table["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": task.pipeline_tag},
                        "dataset": {"name": data, "type": data if facts.datasets else "custom"},
                        "metrics": measured,
                    }
                ],
            }
        ]
    text = yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


def _about(task: Task, loaded: LoadedModel) -> str:
    names = list(loaded.class_names.values())
    shown = ", ".join(map(_cell, names[:_MOST_NAMES]))
    if len(names) > _MOST_NAMES:
        shown += f" and {len(names) - _MOST_NAMES} more"
    classes = f" of {len(names)} class{'es' * (len(names) != 1)}: {shown}" if names else ""
    return (
        f"{task.noun[0].upper()}{task.noun[1:]} ({loaded.config.name}){classes}. Trained with "
        f"[{LIBRARY}](https://github.com/efficientvision/efficientvision), a Keras 3 library."
    )


def _use(task: Task, loaded: LoadedModel, facts: CardFacts) -> str:
    address = f"hf://{facts.address}"
    variable = task.noun.partition(" ")[2]
    return f"""## Use

```bash
pip install '{LIBRARY}[hub]'
{LIBRARY} predict {address} photos/
```

```python
import {LIBRARY} as ev

{variable} = ev.load("{address}")
for result in {variable}("photos/"):
    print(result)
```

Fine-tune it on photos of your own:

```python
ev.train("{loaded.config.name}", data="photos/", ckpt="{address}")
```"""


def _shown_metrics(task: Task, facts: CardFacts) -> dict[str, str]:
    """Metric -> its meaning, of those that were measured; -1 means that there was nothing."""
    return {
        key: meaning
        for key, meaning in (*task.labels.headline.items(), *task.labels.metrics)
        if key in facts.metrics and 0 <= facts.metrics[key] <= 1
    }


def _measured(task: Task, facts: CardFacts) -> str:
    meanings = {**dict(task.labels.metrics), **_shown_metrics(task, facts)}
    rows = [
        (key, meanings[key], f"{100 * facts.metrics[key]:.1f}")
        for key in _shown_metrics(task, facts)
    ]
    if not rows:
        return "## Measured\n\nThis checkpoint was not evaluated."
    images = f"{facts.images:,} held-out photos" if facts.images else "held-out photos"
    return (
        f"## Measured\n\nOn {images}, by the checkpoint of step {facts.step:,} "
        f"(`evaluation.json`), in percent.\n\n" + _table(("metric", "meaning", "value"), rows)
    )


def _classes(run: RunFiles, task: Task, facts: CardFacts) -> str:
    """The table by class: of the evaluation of this very checkpoint."""
    if run.per_class and run.evaluation.get("step") == facts.step:
        columns = [c for c in task.labels.columns if c.key in run.per_class[0]]
        body = [
            (row["class"], *(_figure(row[column.key], column.kind) for column in columns))
            for row in run.per_class
        ]
        return "### By class\n\nIn percent (`per_class.csv`).\n\n" + _table(
            ("class", *(column.heading for column in columns)), body
        )
    by_class = [
        (key.removeprefix(_CLASS_PREFIX), f"{100 * value:.1f}" if value >= 0 else "")
        for key, value in facts.metrics.items()
        if key.startswith(_CLASS_PREFIX)
    ]
    return "### By class\n\n" + _table(("class", "AP"), by_class) if by_class else ""


def _network(loaded: LoadedModel, facts: CardFacts) -> str:
    config = loaded.config
    height, width = config.image_hw
    rows = [
        ("network", f"{config.name}"),
        ("input", f"{width}x{height} (width x height), photos of any size are fitted to it"),
        ("weights", f"{facts.parameters:,}"),
        ("file", f"`model.safetensors`, {facts.weights_bytes / 1e6:.1f} MB, float32"),
        ("pixels", f"mean {_rgb(config.mean_rgb)}, standard deviation {_rgb(config.stddev_rgb)}"),
        ("classes", f"{len(loaded.class_names) or config.num_classes} (`labels.json`)"),
    ]
    return "## Network\n\n" + _table(("", ""), rows)


def _exports(exports: Sequence[CardExport], run: RunFiles) -> str:
    if not exports:
        return ""
    names = list(dict.fromkeys(name for one in exports for name in one.metrics or ()))
    body = [
        (
            f"`{one.path}`",
            f"{one.bytes / 1e6:.1f}",
            "" if one.milliseconds is None else f"{one.milliseconds:.1f}",
            *(f"{(one.metrics or {}).get(name, float('nan')):.1f}" for name in names),
        )
        for one in exports
    ]
    note = ""
    if any(one.milliseconds is not None for one in exports):
        device = run.facts.get("devices")
        note = " Milliseconds per photo, from the photo to the results, on the machine that wrote "
        note += f"them{f' (trained on {_cell(str(device))})' if device else ''}."
    return f"## Exports\n\nReady to run.{note}\n\n" + _table(("file", "MB", "ms", *names), body)


def _training(run: RunFiles) -> str:
    facts, config = run.facts, run.config
    rows = [
        ("photos", f"{facts['examples_per_epoch']:,}" if facts.get("examples_per_epoch") else ""),
        ("epochs", facts.get("num_epochs")),
        ("steps", facts.get("total_steps")),
        ("batch size", facts.get("batch_size")),
        ("optimizer", config.get("optimizer")),
        ("learning rate", config.get("learning_rate")),
        ("software", ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items())),
    ]
    shown = [(name, str(value)) for name, value in rows if value not in (None, "")]
    text = "## Training\n\n" + _table(("", ""), shown) if shown else ""
    counts = [
        (finding["subject"], finding["found"])
        for finding in run.findings
        if finding.get("level") == "ok" and finding.get("subject") in _COUNTED
    ]
    return text + ("\n\n### Data\n\n" + _table(("", ""), counts) if counts else "")


# Findings of the preflight that count and name no file.
_COUNTED = {
    *(f"{part} {what}" for part in ("train", "val") for what in ("classes", "boxes", "pixels")),
    *("objects per image", "photo sizes"),
}


def _limits(facts: CardFacts) -> str:
    rights = (
        f"The weights are published under the licence {facts.license}."
        if facts.license
        else "No licence was stated: ask the author before you use the weights."
    )
    return f"""## Intended use and limits

For photos like those it was trained on: the same objects, cameras, distances and light. The numbers
above are of photos held out from the same source, and the checkpoint was chosen by them, so expect
less on other photos. Measure it on your own: `{LIBRARY} evaluate hf://{facts.address} photos/`. It
was not tested for uses where mistakes endanger people. {rights} The licence of the training data
may restrict their use further."""


def _pictures(facts: CardFacts) -> str:
    if not facts.pictures:
        return ""
    return (
        f"## Pictures\n\n![Validation photos with results.]({PREDICTIONS_NAME})\n\n"
        f"![The worst mistakes.]({MISTAKES_SHEET_NAME})"
    )


def _figure(text: str, kind: str) -> str:
    value = number(text)
    if value is None or value < 0:
        return ""
    return f"{value:,.0f}" if kind == "count" else f"{100 * value:.1f}"


def _rgb(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """A text in a table: on one line, without what Markdown or HTML would take for its own."""
    plain = " ".join(text.split()).replace("<", "&lt;")
    return plain.replace("|", "\\|")
