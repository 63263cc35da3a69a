"""What `main.py` takes for detectors from the network and the flags."""

import json

import pytest

from efficientvision.api import build_from_config
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import BUILTIN
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.task import DATASETS, EfficientDetTask, SsdTask
from tests.made_records import write_made_records
from tests.programs import run_options

SETUP = SsdTask()


def config_of(name, **options):
    return get_config(name, {"image_size": 64, **options}, task="detection")


@pytest.mark.parametrize("name", ["dicenet_s_0.2", "efficientnet-b0"])
def test_all_but_the_backbone_learns_faster(name):
    config = config_of(name, lr_mult=10)
    factor = SETUP.rate_factor(config)
    model = build_from_config(config)
    own = ("base_net.extra_level", "base_net.bu_", "cls_layers.", "loc_layers.")
    for path in (variable.path for variable in model.weights):
        assert factor(path) == (10.0 if any(part in path for part in own) else 1.0), path
    assert SETUP.rate_factor(config_of(name)) is None


def test_data_sets_have_their_classes():
    for dataset, names in (("pascal", "voc"), ("coco", "coco")):
        config = config_of("espnetv2_s_0.5", **DATASETS[dataset])
        assert config.num_object_classes == max(BUILTIN[names])
        assert config.label_map == names


def test_an_efficientdet_has_no_data_set():
    options = RunOptions(dataset="pascal", model_name="efficientdet-d0")
    with pytest.raises(UserError, match="does not apply to EfficientDet"):
        EfficientDetTask().check_options(options)


# The classes of an evaluation, by the names of their numbers.

ODD = {1: "odd", 2: "even"}
EVEN = {1: "Even", 2: "odd"}


@pytest.fixture
def sets(tmp_path):
    """Writes training and evaluation records with their names; returns the flags that name them."""

    def write(train, val, truth=None):
        arguments = []
        for part, names in (("train", train), ("val", val)):
            (tmp_path / part).mkdir()
            path = write_made_records(tmp_path / part / "a.tfrecord", 2)
            if names:
                (tmp_path / part / "labels.json").write_text(json.dumps(names))
            arguments.append(f"--{part}_file_pattern={path}")
        if truth:
            categories = [{"id": number, "name": name} for number, name in truth.items()]
            content = {"images": [], "annotations": [], "categories": categories}
            (tmp_path / "truth.json").write_text(json.dumps(content))
            arguments.append(f"--val_json_file={tmp_path / 'truth.json'}")
        return arguments

    return write


WRONG = "1 Even, 2 odd, but the network has 1 odd, 2 even"


@pytest.mark.parametrize(
    "setup, model", [(EfficientDetTask(), "efficientdet-d0"), (SETUP, "dicenet_s_0.2")]
)
@pytest.mark.parametrize("truth", [None, EVEN])
def test_classes_in_another_order_are_not_measured(sets, setup, model, truth):
    """By `--mode=eval`, by the preflight and without it; of records and of a COCO file."""
    arguments = sets(ODD, ODD if truth else EVEN, truth)
    config = get_config(model, {"image_size": 128, "num_classes": 3}, task="detection")
    with pytest.raises(UserError, match=WRONG):
        setup.build_task(run_options("--mode=eval", *arguments), config, ODD)
    training = run_options("--mode=train_and_eval", *arguments)
    with pytest.raises(UserError, match=WRONG):
        setup.check_classes(training, config, ODD)
    findings, _ = setup.findings(training, config, ODD)
    errors = [finding for finding in findings if finding.subject == "val class names"]
    assert [finding.level for finding in errors] == ["error"] and WRONG in errors[0].found
    # A name that the user gives to all of them does not hide that the two sets differ.
    config.override({"label_map": {1: "a", 2: "b"}})
    if not truth:
        with pytest.raises(UserError, match=WRONG):
            setup.check_classes(training, config, {1: "a", 2: "b"})


@pytest.mark.parametrize(
    "names, val, truth, renamed",
    [
        (ODD, {1: "ODD", 2: "e-ven"}, None, False),
        (ODD, {1: "odd"}, None, False),
        (ODD, None, None, False),
        ({}, EVEN, None, False),
        (ODD, EVEN, ODD, False),  # The file is what counts.
        (ODD, ODD, {1: "odd", 2: None, 3: "more"}, False),
        ({1: "person", 2: "bicycle"}, EVEN, None, True),
        (BUILTIN["coco"], BUILTIN["coco"], None, False),
    ],
)
def test_names_that_agree_or_say_nothing_are_measured(sets, names, val, truth, renamed):
    arguments = sets(None, val, truth)
    config = get_config("efficientdet-d0", {"image_size": 128})
    if renamed:
        config.override({"label_map": names})
        config._written.clear()  # As a run's own config.yaml says it.
    EfficientDetTask().build_task(run_options("--mode=eval", *arguments), config, names)


def test_renamed_classes_in_another_order(sets):
    arguments = sets(None, EVEN)
    config = get_config("efficientdet-d0", {"image_size": 128, "label_map": ODD})
    options = run_options("--mode=eval", *arguments)
    EfficientDetTask().build_task(options, config, ODD)  # Written by the user, so they know.
    config._written.clear()
    with pytest.raises(UserError, match=WRONG):
        EfficientDetTask().build_task(options, config, ODD)
