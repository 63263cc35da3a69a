"""The page of the export formats, from the table that writes and verifies them."""

from docs.generate.markdown import table
from efficientvision.configs.run_options import EXPORT_FORMATS
from efficientvision.exports.artifacts import FORMATS

_GRAPHS = {"saved_model": "a folder", "frozen": "`MODEL_frozen.pb`"}


def page() -> str:
    """Returns the text of the page."""
    lines = []
    for name in EXPORT_FORMATS:
        form = FORMATS.get(name)
        if form is None:
            lines.append([f"`{name}`", _GRAPHS[name], "float32", "inside", "–", "–", "–"])
            continue
        lines.append(
            [
                f"`{name}`",
                f"`MODEL{form.suffix}`" + (" and `.json`" if form.json_beside else ""),
                form.precision,
                "inside" if form.nms == "offset" else "left to the caller",
                _limit(form.box_tolerance, "px"),
                _limit(form.score_tolerance, ""),
                f"{form.metric_tolerance:g} points",
            ]
        )
    return (
        "# Export formats\n\n"
        "Generated from the code by `make docs`; see [Export](../export.md). The last columns are\n"
        "the largest differences from the network that the verification accepts.\n\n"
        + table(["format", "file", "precision", "NMS", "box", "score", "metric"], lines)
    )


def _limit(tolerance: float | None, unit: str) -> str:
    return "not checked" if tolerance is None else f"{tolerance:g} {unit}".strip()
