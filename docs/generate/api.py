"""The pages of the Python API: the public names, and the classes that they return."""

import efficientvision

# Heading -> public names, or full names of the classes that they return.
CHAPTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "Runs": {
        "Train, evaluate, predict": ("train", "evaluate", "compare", "predict"),
        "Export, measure, publish": ("export", "benchmark", "push"),
        "Results": (
            "efficientvision.runs.calls.TrainingRun",
            "efficientvision.runs.calls.SeedRuns",
            "efficientvision.runs.compare.Comparison",
            "efficientvision.runs.export.Exported",
            "efficientvision.runs.push.Pushed",
        ),
        "While a run trains": ("efficientvision.training.callbacks.Callback", "show_progress"),
        "Errors": ("UserError",),
    },
    "Predictors": {
        "Load": ("load",),
        "Predictors": (
            "efficientvision.tasks.predictor.Predictor",
            "Detector",
            "Classifier",
            "Segmenter",
        ),
        "Results": (
            "efficientvision.tasks.predictor.PhotoResult",
            "efficientvision.tasks.detection.predictor.Detections",
            "efficientvision.tasks.detection.predictor.Detection",
            "efficientvision.tasks.classification.predictor.Classification",
            "efficientvision.tasks.segmentation.predictor.Segmentation",
        ),
    },
    "Networks": {
        "Build": ("list_models", "build_model", "build_from_config", "get_config"),
        "Weights": ("load_weights", "efficientvision.weights.report.LoadReport"),
        "Keras": ("FitDetector",),
    },
}


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    return {f"api-{title.lower()}.md": _page(title, CHAPTERS[title]) for title in CHAPTERS}


def documented_names() -> set[str]:
    """The public names that have a place in the reference."""
    return {name for groups in CHAPTERS.values() for names in groups.values() for name in names}


def _page(title: str, groups: dict[str, tuple[str, ...]]) -> str:
    parts = [f"# API: {title.lower()}\n\nGenerated from the docstrings by `make docs`.\n"]
    for heading, names in groups.items():
        known = [full for name in names if (full := full_name(name))]
        parts.append(f"## {heading}\n\n" + "\n".join(f"::: {name}\n" for name in known))
    return "\n".join(parts)


def full_name(name: str) -> str | None:
    """The module and the name of a public name; None if there is no such name."""
    if "." in name:
        return name
    home = efficientvision._HOMES.get(name)
    return f"{home}.{name}" if home else None
