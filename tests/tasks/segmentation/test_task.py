"""What `main.py` takes for segmentation from the network, the records and the flags."""

import json

import pytest

from efficientvision.api import build_from_config
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.segmentation.task import SegmentationTask, evaluation_names
from tests.made_mask_records import write_records

SETUP = SegmentationTask()
NETWORK = {0: "road", 1: "sky", 2: "car"}


def config_of(name="espnetv2_s_0.5", **options):
    return get_config(name, {"num_classes": 3, "image_size": 64, **options}, task="segmentation")


@pytest.fixture
def records(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"0": "Sky", "1": "Vehicle"}))
    return write_records(tmp_path / "a.tfrecord", 1)


@pytest.mark.parametrize("name", ["espnetv2_s_0.5", "efficientnet-b0"])
def test_the_decoder_learns_faster(name):
    config = config_of(name, lr_mult=10)
    factor = SETUP.rate_factor(config)
    model = build_from_config(config)
    encoder = max(model.layers, key=lambda layer: len(layer.weights))
    backbone = {variable.path for variable in encoder.weights}
    factors = {variable.path: factor(variable.path) for variable in model.weights}
    assert {path for path, value in factors.items() if value == 1.0} == backbone
    assert set(factors.values()) == {1.0, 10.0}
    assert SETUP.rate_factor(config_of(name, lr_mult=1)) is None


def test_classes_of_other_records(records):
    options = RunOptions(mode="eval", val_file_pattern=records)
    with pytest.raises(UserError, match="0 Sky, 1 Vehicle.*0 road, 1 sky, 2 car.*class_map"):
        SETUP.build_task(options, config_of(), NETWORK)
    names = evaluation_names(config_of(class_map={1: 0, 2: 1}), NETWORK, records)
    assert names == {0: "Sky", 1: "Vehicle"}
    with pytest.raises(UserError, match="class 2 of records"):
        evaluation_names(config_of(class_map={1: 2}), NETWORK, records)
    with pytest.raises(UserError, match="class 7 of the network"):
        evaluation_names(config_of(class_map={7: 0}), NETWORK, records)


def test_evaluation_masks_in_another_order(tmp_path):
    """The preflight says what the training would stop for, and not to use class_map there."""
    sets = {"train": NETWORK, "val": {0: "sky", 1: "road", 2: "car"}}
    for part, names in sets.items():
        (tmp_path / part).mkdir()
        write_records(tmp_path / part / "a.tfrecord", 1)
        (tmp_path / part / "labels.json").write_text(json.dumps(names))
    patterns = {f"{part}_file_pattern": f"{tmp_path / part}/a*" for part in sets}
    options = RunOptions(mode="train_and_eval", **patterns)
    config = config_of(num_classes=4)
    findings, _ = SETUP.findings(options, config, NETWORK)
    (error,) = [finding for finding in findings if finding.level == "error"]
    assert error.subject == "val class names"
    assert "classes 0 sky, 1 road, 2 car, but training 0 road, 1 sky, 2 car" in error.found
    assert "convert them again" in error.advice
    with pytest.raises(UserError, match="0 sky, 1 road, 2 car"):
        SETUP.check_classes(options, config, NETWORK)


def test_records_without_names_have_the_networks(tmp_path):
    records = write_records(tmp_path / "a.tfrecord", 1)
    assert evaluation_names(config_of(), {0: "road"}, records)[2] == "class 2"
    assert len(evaluation_names(config_of(class_map={0: 5}), NETWORK, records)) == 6


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("espnetv2_s_0.5", {"freeze": "backbone+fpn"}, "no fpn"),
        ("efficientdet-d0", {"auxiliary": True}, "no auxiliary output"),
        ("espnetv2_s_0.5", {"class_map": {0: 1}}, "only works with `mode=eval`"),
    ],
)
def test_what_cannot_be_trained_with(name, options, says):
    with pytest.raises(UserError, match=says):
        SETUP.check_config(None, config_of(name, **options))
