"""What a run begins with: a checkpoint's head by class name, frozen parts, errors."""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from efficientvision.api import build_from_config
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.loading import checkpoint_class_names
from efficientvision.runs import first_weights
from efficientvision.tasks.choice import get_config
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill

SMALL = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1,fpn_num_filters=8"
BIAS = "class_net/class-predict/bias"
OURS = {1: "Person", 2: "robot"}


@functools.cache
def network(num_classes):
    """The small network, and the weights that it began with."""
    model = build_from_config(get_config("efficientdet-d0", f"{SMALL},num_classes={num_classes}"))
    return model, model.get_weights()


def checkpoint(folder, num_classes):
    """A published checkpoint of the small network; its values by name."""
    folder.mkdir()
    model, _ = network(num_classes)
    values = {n: fill(n, v.shape) for n, v in published_variables(model).items()}
    write_tf1_checkpoint(folder / "model", values)
    return values


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "coco"
    return folder, checkpoint(folder, 90)


class FakeTrainer:
    """As much of a trainer as `initialize` asks for."""

    def __init__(self, config):
        self.model, weights = network(config.num_classes)
        self.model.set_weights(weights)
        self.plan = SimpleNamespace(total_steps=10)
        self.resets = 0
        self.state = SimpleNamespace(averages=SimpleNamespace(reset=self._reset))

    def _reset(self):
        self.resets += 1

    def resume(self):
        return 0


def begin(override="", names=None, *, ckpt=None, backbone_ckpt=""):
    """Initializes a network of two classes; the trainer."""
    config = get_config("efficientdet-d0", f"{SMALL},num_classes=2", override)
    options = RunOptions(ckpt=ckpt and str(ckpt), backbone_ckpt=str(backbone_ckpt), model_dir="run")
    trainer = FakeTrainer(config)
    first_weights.initialize(trainer, options, config, names or {})
    return trainer


def bias(trainer):
    return published_variables(trainer.model)[BIAS].numpy().reshape(9, 2)


def test_a_published_checkpoint_knows_cocos_names(coco, capsys):
    folder, values = coco
    trainer = begin(names=OURS, ckpt=folder)
    text = capsys.readouterr().out
    assert "class head: 1 of 2 classes matched by name: Person; new: robot" in text
    np.testing.assert_array_equal(bias(trainer)[:, 0], values[BIAS].reshape(9, 90)[:, 0])
    assert np.all(bias(trainer)[:, 1] < -4.0)  # The initial value: a chance of 0.01.
    assert trainer.resets == 1


@pytest.mark.parametrize(("override", "names"), [("match_classes_by_name=false", OURS), ("", {})])
def test_without_names_or_on_request_the_head_begins_afresh(coco, capsys, override, names):
    trainer = begin(override, names, ckpt=coco[0])
    assert "class head" not in capsys.readouterr().out
    assert np.all(bias(trainer) < -4.0)


def test_a_run_of_ours_says_its_names(coco, tmp_path):
    folder = tmp_path / "run"
    values = checkpoint(folder, 2)
    assert checkpoint_class_names(folder) == {}
    assert checkpoint_class_names(coco[0])[90] == "toothbrush"
    (folder / "config.yaml").write_text("name: efficientdet-d0\nlabel_map: {1: robot, 2: cat}\n")
    assert checkpoint_class_names(folder) == {1: "robot", 2: "cat"}
    (folder / "labels.json").write_text(json.dumps({"1": "robot", "2": "dog"}))
    assert checkpoint_class_names(folder) == {1: "robot", 2: "dog"}

    swapped = bias(begin(names=OURS, ckpt=folder))
    theirs = values[BIAS].reshape(9, 2)
    np.testing.assert_array_equal(swapped[:, 1], theirs[:, 0])
    assert np.all(swapped[:, 0] < -4.0)
    # The same names in the same places: everything is loaded as it stands.
    np.testing.assert_array_equal(bias(begin(names={1: "robot", 2: "dog"}, ckpt=folder)), theirs)


def test_a_frozen_part_must_not_be_random(coco):
    with pytest.raises(UserError, match="freeze=backbone would freeze random weights in backbone"):
        begin("freeze=backbone")
    with pytest.raises(UserError, match="random weights in fpn: .*`ckpt`"):
        begin("freeze=backbone+fpn", backbone_ckpt=coco[0])
    begin("freeze=backbone", backbone_ckpt=coco[0])
    begin("freeze=backbone+fpn", ckpt=coco[0])
