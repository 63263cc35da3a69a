"""Parts that are frozen at first: what moves when, and runs that resume on either side."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.runs.run_setup import hold_steps
from efficientvision.tasks.choice import get_config
from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.freezing import HeldParts, set_backbone_norms
from efficientvision.training.optimizers import FlatOptimizer, build_optimizer
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.state import trainable_variables
from tests.training.toy_run import ToyTask, on_a_backbone, toy_trainer

OPTIONS = {
    **{"held_parts": ("backbone",), "hold_steps": 3},
    **{"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 1.0},
}


def _trained(folder, **options):
    """Trains on to the end; the newest checkpoint."""
    toy_trainer(folder, ToyTask({}), body=on_a_backbone, epochs=3, **OPTIONS, **options).run()
    return read_checkpoint(folder)


def _values(checkpoint):
    """Everything of a checkpoint, by name."""
    groups = {"weights": checkpoint.weights, "ema": checkpoint.ema, "slots": checkpoint.optimizer}
    return {f"{g}/{name}": value for g, own in groups.items() for name, value in own.items()}


@pytest.mark.slow
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_run_that_resumes_on_either_side_is_the_same(tmp_path, micro_batches, capsys):
    whole = tmp_path / "whole"
    options = {"micro_batches": micro_batches, "save_every": 1}
    start = toy_trainer(tmp_path / "start", ToyTask({}), body=on_a_backbone).model
    end = _values(_trained(whole, **options))
    assert capsys.readouterr().out.count("Step 3: backbone is no longer frozen") == 1
    held, free = read_checkpoint(whole / "ckpt-3.npz"), read_checkpoint(whole / "ckpt-6.npz")
    for variable in start.weights:
        own = variable.numpy()
        same = [np.array_equal(own, held.weights[variable.path])]
        same.append(np.array_equal(own, held.ema[variable.path]))
        assert same == ["efficientnet-toy" in variable.path] * 2, variable.path
    for name in ("beta", "moving_mean"):
        path = f"efficientnet-toy-norm/{name}"
        assert not np.array_equal(held.weights[path], free.weights[path]), path
    assert held.optimizer["updates_held"] == free.optimizer["updates_held"] == 3
    for step in (2, 4):
        folder = tmp_path / str(step)
        folder.mkdir()
        shutil.copy(whole / f"ckpt-{step}.npz", folder)
        again = _values(_trained(folder, **options))
        assert again.keys() == end.keys()
        for name, value in end.items():
            assert np.asarray(again[name]).tobytes() == np.asarray(value).tobytes(), name


def test_the_first_update_of_a_held_group_is_a_first_update():
    """Adam's correction counts the updates of the group, not of the run."""
    gradient = tf.constant([0.5, -2.0])
    late, fresh, free = (keras.Variable([1.0, 2.0], name=name) for name in ("late", "fresh", "a"))
    both = FlatOptimizer(build_optimizer("adam"), 0.1, [free, late], held=[late])
    alone = FlatOptimizer(build_optimizer("adam"), 0.1, [fresh])
    for group in (*both.groups, *alone.groups):
        group.gather()
    for _ in range(5):
        both.apply([gradient], held=True)
    np.testing.assert_array_equal(both.groups[1].vector, [1.0, 2.0])
    restored = FlatOptimizer(build_optimizer("adam"), 0.1, [free, late], held=[late])
    restored.load(both.numpy())
    for group in restored.groups:
        group.gather()
    restored.apply([gradient, gradient])
    alone.apply([gradient])
    np.testing.assert_array_equal(restored.groups[1].vector, alone.groups[0].vector)


def test_the_epoch_as_a_step():
    plan = TrainingPlan(8, examples_per_epoch=205, num_epochs=4)
    config = get_config("efficientdet-d0", "freeze=backbone,unfreeze_epoch=3")
    assert hold_steps(config, plan) == plan.epoch_end(3) == 76
    assert hold_steps(config.override("unfreeze_epoch=0.5"), plan) == 12
    assert hold_steps(config.override("unfreeze_epoch=None"), plan) == 0
    with pytest.raises(UserError, match="unfreeze_epoch=3 has no effect without freeze"):
        hold_steps(config.override("freeze=None,unfreeze_epoch=3"), plan)


def toy_network():
    images = keras.Input([1])
    return keras.Model(images, keras.layers.Dense(1, name="line")(on_a_backbone(images)))


@pytest.mark.parametrize(
    ("mode", "trained", "frozen"),
    [("follow", True, False), ("freeze_statistics", True, True), ("freeze", False, True)],
)
def test_batch_norms_of_the_backbone(mode, trained, frozen):
    model = toy_network()
    set_backbone_norms(model, mode)
    norm = model.get_layer("efficientnet-toy-norm")
    assert norm.frozen == frozen
    assert any("norm" in v.path for v in model.trainable_variables) == trained


def test_statistics_stay_while_parts_are_held():
    model = toy_network()
    held = HeldParts(model, ["backbone"])
    assert {v.path.split("/")[0] for v in held.variables} == {
        "efficientnet-toy", "efficientnet-toy-norm"
    }  # fmt: skip
    mean, x = model.get_layer("efficientnet-toy-norm").moving_mean, np.arange(4.0)[:, None]
    for is_held, moved in ((True, False), (False, True)):
        before = mean.numpy()
        with held.in_inference(is_held):
            model(x, training=True)
        assert np.any(mean.numpy() != before) == moved
    with pytest.raises(UserError, match="leaves nothing to train at first"):
        HeldParts(model, ["backbone", "line"])
    others = trainable_variables(model, "line")
    with pytest.raises(UserError, match="leaves nothing to train at first"):
        HeldParts(model, ["backbone"], others)
