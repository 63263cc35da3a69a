"""Further weights of the networks in the zoo: other training sets, and files of other packages."""

import dataclasses
import functools
import json
import pathlib

ELSEWHERE = pathlib.Path(__file__).parent / "elsewhere.json"
_BYTES_PER_PARAMETER = 4


@dataclasses.dataclass(frozen=True)
class FurtherSet:
    """Weights from one source.

    Attributes:
        title: heading above the table.
        task: one of `rows.TASKS`.
        licence: licence of the weights.
        source: where the figures are from, in Markdown.
        note: what a user must know.
        fetch, load: command and Python line, with `{name}`, `{model}`, `{keras}` to fill in.
        metrics: names of the accuracies, in per cent.
        weights: model of the registry, name of the weights, size (parameters, as published), and
            an accuracy or None for each metric.
    """

    title: str
    task: str
    licence: str
    source: str
    note: str
    fetch: str
    load: str
    metrics: list[str]
    weights: list[list]

    def commands(self, model: str, name: str) -> tuple[str, str]:
        """Command that downloads weights, and Python line that loads them."""
        keras_name = model.replace("efficientnet-b", "EfficientNetB")
        filled = {"name": name, "model": model, "keras": keras_name}
        return self.fetch.format(**filled), self.load.format(**filled)


@functools.cache
def further_sets() -> list[FurtherSet]:
    """All sets, in the order of the page."""
    return [FurtherSet(**entry) for entry in json.loads(ELSEWHERE.read_text(encoding="utf-8"))]


def size_text(size: str) -> str:
    """Parameters and size in MB; the latter is computed if it was not published."""
    if "MB" in size:
        return size
    megabytes = float(size.removesuffix("M")) * _BYTES_PER_PARAMETER
    return f"{size}, ≈ {megabytes:.0f} MB"
