"""Minimum scores of a detector that is loaded from a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from efficientvision.configs.overrides import read_overrides
from efficientvision.configs.score_thresholds import MinScores
from efficientvision.evaluation.thresholds import ScoreThresholds
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.loaded_model import LoadedModel

log = logging.getLogger(__name__)

DEFAULT_MIN_SCORE = 0.4


def apply_min_scores(
    loaded: LoadedModel, asked: MinScores | None, *hparams: str | Mapping[str, Any] | None
) -> None:
    """Sets a detector's minimum scores, and that of its NMS to the lowest of them.

    In this order: `asked`, `nms_configs.score_thresh` of `hparams`, those that an evaluation of the
    run found, `nms_configs.score_thresh` of the run, 0.4.

    Args:
        loaded: Changed in place.
        asked: The user's minimum scores, or None.
        *hparams: The user's hyper-parameters.

    Raises:
        UserError: `asked` cannot be parsed, or names an unknown class.
    """
    config: DetectionConfig = loaded.config
    configured = config.nms_configs.score_thresh
    is_set = any(sets_nms(overrides, "score_thresh") for overrides in hparams)
    if configured and (is_set or loaded.thresholds is None):
        before = ScoreThresholds(configured, source="nms_configs.score_thresh")
    else:
        before = loaded.thresholds or ScoreThresholds(DEFAULT_MIN_SCORE, source="the default")
    thresholds = before.changed(asked, loaded.class_names, config.num_object_classes)
    if thresholds.classes or before is loaded.thresholds:
        log.info(f"Minimum score: {thresholds.described(loaded.class_names)}")
    loaded.thresholds = thresholds
    config.override({"nms_configs": {"score_thresh": thresholds.least}})


def sets_nms(hparams: str | Mapping[str, Any] | None, name: str) -> bool:
    """Whether hyper-parameters set a field of `nms_configs`."""
    return any(name in (part.get("nms_configs") or {}) for part in read_overrides(hparams))
