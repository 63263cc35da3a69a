"""Which minimum scores a detector uses, and what its exports say of them."""

import pytest

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.evaluation.thresholds import ScoreThresholds
from efficientvision.tasks.choice import get_config, task_of_config
from efficientvision.tasks.detection.min_scores import apply_min_scores
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import metadata_from_json

NAMES = {1: "ant", 2: "bee", 3: "cat"}
FOUND = ScoreThresholds(0.3, {1: 0.25, 2: 0.35}, "best F1")


def made(hparams=None, found=None):
    """A detector without a network, as `load_model` would return it."""
    config = get_config("efficientdet-d0", {"num_classes": 3}, hparams)
    return LoadedModel(None, config, NAMES, thresholds=found)


@pytest.mark.parametrize(
    ("in_run", "hparams", "found", "asked", "default", "classes"),
    [
        (None, None, None, None, 0.4, {}),
        ("nms_configs.score_thresh=0.1", None, None, None, 0.1, {}),
        ("nms_configs.score_thresh=0.1", None, FOUND, None, 0.3, {1: 0.25, 2: 0.35}),
        (None, "nms_configs.score_thresh=0.2", FOUND, None, 0.2, {}),
        (None, None, FOUND, 0.5, 0.5, {}),
        (None, None, FOUND, "cat=0.1", 0.3, {1: 0.25, 2: 0.35, 3: 0.1}),
        (None, None, None, "0.5,cat=0.1", 0.5, {3: 0.1}),
    ],
)
def test_what_is_used(in_run, hparams, found, asked, default, classes):
    loaded = made(hparams or in_run, found)
    apply_min_scores(loaded, asked, hparams)
    assert (loaded.thresholds.default, dict(loaded.thresholds.classes)) == (default, classes)
    assert loaded.config.nms_configs.score_thresh == min([default, *classes.values()])


def test_exports_state_them():
    loaded = made(found=FOUND)
    metadata = metadata_from_json(task_of_config(loaded.config).metadata(loaded, 1).to_json(), "")
    assert (metadata.min_score_thresh, metadata.class_thresholds) == (0.3, {1: 0.25, 2: 0.35})
    nms = {"kind": "offset", "max_candidates": 5000, "max_output_size": 100}
    metadata.nms.update(nms)
    facts = metadata.output_facts()
    assert facts["min_score"] == 0.3 and facts["class_min_scores"] == {"1": 0.25, "2": 0.35}
    plain = task_of_config(loaded.config).metadata(made(), 1)
    plain.nms.update(nms)
    assert "class_min_scores" not in plain.output_facts()


def test_other_suppression_than_the_evaluations_is_told(caplog):
    caplog.set_level("INFO", "efficientvision")
    loaded = made("nms_configs.method=gaussian", FOUND)
    task_of_config(loaded.config).apply_settings(loaded, InspectSettings())
    assert "found with gaussian NMS. With hard NMS" in caplog.messages[-1]
    caplog.clear()
    loaded = made("nms_configs.method=gaussian", FOUND)
    task_of_config(loaded.config).apply_settings(loaded, InspectSettings(min_score_thresh="0.5"))
    assert "gaussian" not in "".join(caplog.messages)
