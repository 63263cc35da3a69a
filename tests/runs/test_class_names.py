"""Whose names a run's classes have: the data's, unless the user writes others."""

import json

import pytest

from efficientvision.configs.overrides import Recipe
from efficientvision.data.labels import BUILTIN
from efficientvision.errors import UserError
from efficientvision.runs.class_names import (
    check_no_new_classes,
    drop_recipe_label_map,
    tell_changed_names,
)
from efficientvision.tasks.choice import get_config, task_of_config
from tests.made_mask_records import write_records
from tests.made_records import write_made_records
from tests.programs import train_program

OWN = {1: "dark", 2: "light"}
OF_RECIPE = {1: "Platelets", 2: "RBC", 3: "WBC"}


@pytest.fixture
def records(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps(OWN))
    return str(write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 4))


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("num_classes: 3\nlabel_map: {1: Platelets, 2: RBC, 3: WBC}\n")
    return str(path)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("detection", "efficientdet-d0"),
        ("detection", "espnetv2_s_0.5"),
        ("classification", "espnetv2_s_0.5"),
    ],
)
def test_names_beside_the_records_come_before_a_recipes(records, recipe, capsys, task, model):
    config = get_config(model, recipe, task=task)
    assert task_of_config(config).class_names(config, records) == OWN
    drop_recipe_label_map(config, records)
    said = capsys.readouterr().out
    assert "1 dark, 2 light" in said and "1 Platelets, 2 RBC, 3 WBC" in said
    assert config.label_map is None
    assert task_of_config(config).class_names(config, records) == OWN


def test_masks_too(tmp_path, recipe, capsys):
    own = {0: "sky", 1: "road", 2: "car"}
    (tmp_path / "labels.json").write_text(json.dumps(own))
    records = str(write_records(tmp_path / "a.tfrecord", 1))
    config = get_config("espnetv2_s_0.5", recipe, task="segmentation")
    assert task_of_config(config).class_names(config, records) == own
    drop_recipe_label_map(config, records)
    assert "0 sky, 1 road, 2 car" in capsys.readouterr().out


@pytest.mark.parametrize("written", ["{},label_map={{1: one, 2: two}}", {"label_map": "voc"}])
def test_what_the_user_wrote_comes_first(records, recipe, capsys, written):
    text = isinstance(written, str)
    changes = [written.format(recipe)] if text else [recipe, written]
    config = get_config("efficientdet-d0", *changes)
    drop_recipe_label_map(config, records)
    names = {1: "one", 2: "two"} if text else BUILTIN["voc"]
    assert task_of_config(config).class_names(config, records) == names
    assert not capsys.readouterr().out


def test_a_recipe_after_it_is_a_recipe_again(recipe):
    assert not get_config("efficientdet-d0", f"label_map=coco,{recipe}").is_written("label_map")
    assert not get_config("efficientdet-d0", Recipe(label_map="coco")).is_written("label_map")
    assert get_config("efficientdet-d0", "label_map=coco").is_written("label_map")


def test_without_names_beside_the_records_the_recipes_count(tmp_path, recipe, capsys):
    records = str(write_made_records(tmp_path / "bare.tfrecord", 1))
    config = get_config("efficientdet-d0", recipe)
    drop_recipe_label_map(config, records)
    assert task_of_config(config).class_names(config, records) == OF_RECIPE
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "options"),
    [("efficientdet-d0", ()), ("espnetv2_s_0.5", ("--task=detection", "--dataset=pascal"))],
)
def test_the_command_says_whose_names_count(tmp_path, records, recipe, model, options):
    if not options:
        options = (f"--hparams={recipe}",)
    done = train_program(
        *("--mode=train", f"--model_name={model}", f"--model_dir={tmp_path / 'run'}", *options),
        *(f"--train_file_pattern={records}", "--train_batch_size=2", "--preflight=only"),
    )
    assert done.code == 0, done.stderr
    assert "the class names beside the records (1 dark, 2 light)" in done.stdout
    assert "1 dark 2, 2 light 2" in " ".join(done.stdout.split())  # A table wraps it.


def test_a_run_that_goes_on_with_other_names_says_so(tmp_path, capsys):
    tell_changed_names(str(tmp_path), OWN, of_masks=False)
    (tmp_path / "labels.json").write_text(json.dumps(OF_RECIPE))
    tell_changed_names(str(tmp_path), OF_RECIPE, of_masks=False)
    tell_changed_names(str(tmp_path), {}, of_masks=False)
    assert not capsys.readouterr().out
    tell_changed_names(str(tmp_path), {**OF_RECIPE, 2: "red"}, of_masks=False)
    said = capsys.readouterr().out
    assert "before 2 RBC; now 2 red" in said and str(tmp_path / "labels.json") in said
    (tmp_path / "labels.json").write_text("{")
    tell_changed_names(str(tmp_path), OWN, of_masks=False)
    assert "not valid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "model", "count", "first"),
    [
        ("detection", "efficientdet-d0", 2, 1),
        ("detection", "espnetv2_s_0.5", 3, 1),
        ("classification", "espnetv2_s_0.5", 2, 1),
        ("segmentation", "espnetv2_s_0.5", 2, 0),
    ],
)
def test_a_run_that_goes_on_takes_no_new_classes(tmp_path, task, model, count, first):
    config = get_config(model, {"num_classes": count}, task=task)
    names = {first: "dark", first + 1: "light"}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    check_no_new_classes(str(tmp_path), config, names)
    with pytest.raises(UserError, match=f"class {first + 2} new: .*`ckpt={tmp_path}`"):
        check_no_new_classes(str(tmp_path), config, {**names, first + 2: "new"})


def test_a_run_that_resumes_keeps_its_number_of_classes(tmp_path):
    (tmp_path / "config.yaml").write_text("num_classes: 3\n")
    check_no_new_classes(str(tmp_path), get_config("efficientdet-d0", "num_classes=3"), {})
    with pytest.raises(UserError, match="began with num_classes=3, which cannot become 5"):
        check_no_new_classes(str(tmp_path), get_config("efficientdet-d0", "num_classes=5"), {})


def test_masks_where_boxes_or_classes_are_wanted_are_named(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({0: "sky", 1: "road"}))
    records = str(write_records(tmp_path / "a.tfrecord", 1))
    config = get_config("espnetv2_s_0.5", task="classification")
    with pytest.raises(UserError, match="a.tfrecord holds masks.*set `task`"):
        task_of_config(config).class_names(config, records)
