"""A network in memory, with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from efficientvision.evaluation.thresholds import ScoreThresholds
    from efficientvision.weights.report import LoadReport


@dataclass
class LoadedModel:
    """A network with everything that `load_model` found about it.

    Attributes:
        model: the network with its weights.
        config: its hyper-parameters; the class depends on the task.
        class_names: class number (1..K, for segmenters from 0) -> name; may be empty.
        report: the `LoadReport`; None for random weights.
        thresholds: minimum scores: those that an evaluation of the run found, until the user's
            replace them; None: neither.
    """

    model: keras.Model
    config: Any
    class_names: dict[int, str]
    report: LoadReport | None = None
    thresholds: ScoreThresholds | None = None


def score_facts(loaded: LoadedModel) -> dict[str, Any]:
    """The minimum scores that exports state; empty for the defaults of the task."""
    if loaded.thresholds is None:
        return {}
    return {
        "min_score_thresh": loaded.thresholds.default,
        "class_thresholds": dict(loaded.thresholds.classes),
    }


def export_facts(loaded: LoadedModel, batch_size: int | None) -> dict[str, Any]:
    """The facts that exports of every task state."""
    config = loaded.config
    return {
        "model_name": config.name,
        "image_hw": config.image_hw,
        "class_names": dict(loaded.class_names),
        "batch_size": batch_size,
    }
