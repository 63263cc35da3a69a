"""What a trainer is made of: its recipe, its plan, and errors about them."""

import inspect

import pytest

from efficientvision.errors import UserError
from efficientvision.training.optimizers import Adam, Sgd
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.trainer import Trainer
from tests.training.toy_run import ToyTask, toy_trainer


def test_what_a_trainer_takes():
    names = list(inspect.signature(Trainer).parameters)
    assert names == ["task", "model", "plan", "schedule", "recipe", "callbacks", "strategy"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weights_are_decayed_once(optimizer):
    """By the loss or by the optimizer (AdamW), never by both."""
    recipe = TrainingRecipe(optimizer=optimizer, weight_decay=0.1)
    factors = [recipe.l2_factor, recipe.build_optimizer().weight_decay]
    assert factors == ([0.0, 0.1] if optimizer == "adamw" else [0.1, 0.0])


def test_settings_reach_the_optimizer():
    assert TrainingRecipe(momentum=0.8).build_optimizer() == Sgd(momentum=0.8)
    adam = TrainingRecipe(optimizer="adam", beta_1=0.8, beta_2=0.9, epsilon=1e-3)
    assert adam.build_optimizer() == Adam(beta_1=0.8, beta_2=0.9, epsilon=1e-3)


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="`on_nan` must be one of stop, skip; got 'go'"):
        TrainingRecipe(on_nan="go")
    with pytest.raises(UserError, match="`num_epochs=0` .*`train_batch_size=8`"):
        TrainingPlan(batch_size=8, examples_per_epoch=80, num_epochs=0)
    with pytest.raises(UserError, match="`model_dir` is missing"):
        toy_trainer("", ToyTask({}))
