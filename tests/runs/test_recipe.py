import logging

import pytest

from efficientvision.configs.overrides import Recipe
from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.runs import recipe
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.modern_recipe import MODERN

MODERN_OPTIONS = options_from({"recipe": "modern"})


def test_modern_recipe_leaves_what_is_set(caplog):
    config = get_config("efficientdet-lite0", "mosaic_prob=0.25")
    with caplog.at_level(logging.INFO):
        recipe.apply(MODERN_OPTIONS, config)
    for choice in MODERN:
        expected = 0.25 if choice.name == "mosaic_prob" else choice.value
        assert getattr(config, choice.name) == expected
        assert (f"{choice.name}={choice.value} (" in caplog.text) == (choice.name != "mosaic_prob")


@pytest.mark.parametrize("name", ["", "published"])
def test_the_published_recipe_changes_nothing(name):
    config = get_config("efficientdet-lite0")
    recipe.apply(options_from({"recipe": name}), config)
    assert config == get_config("efficientdet-lite0")


@pytest.mark.parametrize("task", [None, "detection"])
def test_other_networks_have_none(task):
    with pytest.raises(UserError, match="`recipe=modern`: there is none for espnetv2_s_1.0 as"):
        recipe.apply(MODERN_OPTIONS, get_config("espnetv2_s_1.0", task=task))


def test_a_run_that_began_without_it_goes_on_without_it(monkeypatch):
    monkeypatch.setattr(recipe, "latest_checkpoint", lambda _: "ckpt-1.npz")
    options = options_from({"recipe": "modern", "model_dir": "run", "defaults": "data"})
    began = Recipe(get_config("efficientdet-lite0").as_dict())
    with pytest.raises(UserError, match=r"began without it \(assignment=iou\)"):
        recipe.apply(options, get_config("efficientdet-lite0", began))
    recipe.apply(MODERN_OPTIONS, config := get_config("efficientdet-lite0"))
    resumed = get_config("efficientdet-lite0", Recipe(config.as_dict()))
    recipe.apply(options, resumed)
    recipe.apply(options.replace(recipe=""), resumed)
    with pytest.raises(UserError, match=r"`recipe=published`: .* began with `recipe=modern`"):
        recipe.apply(options.replace(recipe="published"), resumed)
    recipe.apply(options.replace(recipe="published"), get_config("efficientdet-lite0", began))


def test_a_value_of_a_file_is_no_sign_of_a_run_without_it(monkeypatch, tmp_path):
    monkeypatch.setattr(recipe, "latest_checkpoint", lambda _: "ckpt-1.npz")
    own = tmp_path / "own.yaml"
    own.write_text("mosaic_prob: 0.25\n")
    given = {"model_name": "efficientdet-lite0", "hparams": str(own), "model_dir": "run"}
    options = options_from({**given, "recipe": "modern", "defaults": "data"})
    recipe.apply(options, began := get_config("efficientdet-lite0", str(own)))
    resumed = get_config("efficientdet-lite0", Recipe(began.as_dict()), str(own))
    recipe.apply(options, resumed)
    assert resumed == began and resumed.mosaic_prob == 0.25


def test_mixing_ends_after_its_share_of_the_training():
    config = get_config("efficientdet-d0", "mix_end=0.7,num_epochs=10,mosaic_prob=0.5")
    task = EfficientDetTrainingTask(config, examples_per_epoch=50)
    assert task.mix_until == 350
    message = task.plan_message(batch_size=8, total_steps=62)
    assert message == "Augmentation: no mosaic after step 44 of 62 (mix_end=0.7)."
    with pytest.raises(UserError, match="mix_end=0.7 is a share of a training of unknown length"):
        EfficientDetTrainingTask(config).mix_until  # noqa: B018
    unmixed = EfficientDetTrainingTask(get_config("efficientdet-d0", "mix_end=0.7"))
    assert unmixed.mix_until is None and "mix_end=0.7 has no effect" in unmixed.plan_message(8, 62)
    published = EfficientDetTrainingTask(get_config("efficientdet-d0"))
    assert published.mix_until is None and published.plan_message(8, 62) == ""
