"""Option `defaults=data`: what is chosen for whom, what overrides it, and what a run keeps."""

import json

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.configs.run_options import RunOptions, options_from
from efficientvision.errors import UserError
from efficientvision.preflight.findings import OK
from efficientvision.preflight.recipe_checks import recipe_findings
from efficientvision.runs import data_defaults, run_folder, run_setup
from efficientvision.tasks.choice import get_config, task_of_config
from efficientvision.tasks.data_defaults import DataDefaults
from efficientvision.tasks.default_values import BACKBONE, DataFacts, Machine, Transfer
from efficientvision.tasks.detection.data_defaults import object_choices
from efficientvision.tasks.setup import take_from_run
from tests.made_records import write_made_records

GIB = 2.0**30
NAMES = {1: "Platelets", 2: "RBC", 3: "WBC"}
NETWORKS = [
    ("efficientdet-lite0", "detection"),
    ("efficientdet-d4", "detection"),
    ("espnetv2_s_1.0", "detection"),
    ("efficientnet-b0", "classification"),
    ("espnetv2_s_0.5", "classification"),
    ("espnetv2_s_2.0", "segmentation"),
]


def made_facts(photos: int) -> DataFacts:
    """Photos of 640x480 with a small, a medium and a large object each."""
    sample = min(photos, 20)
    sides = np.array([38, 100, 180])
    boxes = np.stack([0 * sides, 0 * sides, sides / 480, sides / 640], axis=-1)
    return DataFacts(
        photos,
        np.tile([[480, 640]], (sample, 1)),
        np.tile(boxes, (sample, 1)),
        np.tile([1, 2, 3], sample),
        np.repeat(np.arange(sample), 3),
        3,
    )


def chosen(
    model, task, photos=205, hparams="", device="CPU", more=None, gib=16, teacher="", **options
):
    """The options, hyper-parameters and choices (by name) of a run."""
    config = get_config(model, hparams, more, task=task)
    given = {"train_file_pattern": "train", "val_file_pattern": "val", "hparams": hparams}
    written = options_from({**given, **options})
    picks = data_defaults.Picks(written, config)
    machine = Machine(device, 1, gib * GIB)
    facts = made_facts(photos)
    data_defaults.choose(picks, task_of_config(config), facts, NAMES, machine, int, teacher)
    return picks.options, config, {choice.name: choice for choice in picks.choices}


@pytest.mark.parametrize(("model", "task"), NETWORKS)
def test_preflight_has_no_advice_left(model, task):
    for photos, device in ((1, "CPU"), (205, "CPU"), (118_000, "GPU")):
        options, config, _ = chosen(model, task, photos, device=device)
        plan = run_setup.training_plan(options.replace(model_dir="run"), config)
        schedule = run_setup.learning_rates(config, plan)
        rows = recipe_findings(config, plan, schedule, num_records=photos, from_scratch=True)
        assert [row for row in rows if row.level != OK] == []


def test_a_small_set_gets_the_measured_recipe():
    options, config, choices = chosen("efficientdet-lite0", "detection")
    assert (options.train_batch_size, options.num_examples_per_epoch) == (8, 9 * 205)
    assert (config.num_epochs, config.image_hw) == (11, (240, 320))
    assert (config.optimizer, config.learning_rate, config.bn_momentum) == ("adam", 2e-3, 0.9)
    assert all(choice.reason for choice in choices.values())
    assert "205 photos" in choices["num_examples_per_epoch"].reason


def test_short_runs_have_the_modern_recipe_unless_one_is_named(tmp_path):
    def assignment(photos=205, **options):
        config = chosen("efficientdet-d0", "detection", photos, **options)[1]
        return config.assignment, config.box_loss_weight

    own = tmp_path / "own.yaml"
    own.write_text("learning_rate: 0.001\n")
    assert assignment() == ("task_aligned", 0.0)
    assert assignment(more={"iou_loss_type": None}) == ("task_aligned", 50.0)
    published = ({"recipe": "published"}, {"hparams": str(own)}, {"ckpt": "run"}, {"photos": 10**6})
    assert [assignment(**options) for options in published] == [("iou", 50.0)] * 4
    _, config, choices = chosen("efficientdet-d0", "detection", more={"jitter_max": 1.1})
    assert config.jitter_max == 1.1 and "jitter_min" not in choices
    _, config, _ = chosen("efficientdet-lite0", "detection", photos=50)
    assert config.max_instances_per_image == 100


def test_anchors_cover_the_boxes_in_the_input_that_was_chosen():
    scales = []
    for size in ("640x480", "240x180"):
        _, config, choices = chosen("efficientdet-lite0", "detection", more={"image_size": size})
        scales.append(config.anchor_scale)
        assert config.anchor_scale == choices["anchor_scale"].value
        assert "100% of a class's boxes" in choices["anchor_scale"].reason
    assert scales[0] == 3.0 and scales[1] < 2.0


OVERRIDES = {"train_batch_size": 4, "eval_batch_size": 2, "num_examples_per_epoch": 410}
HYPER_PARAMETERS = {
    "image_size": 256,
    "learning_rate": 1e-3,
    "anchor_scale": 3.0,
    "jitter_max": 1.5,
    "iou_loss_type": None,
}


@pytest.mark.parametrize("as_recipe", [True, False])
def test_what_the_user_sets_is_left_alone(as_recipe, tmp_path):
    recipe = tmp_path / "own.yaml"
    recipe.write_text(json.dumps(HYPER_PARAMETERS))
    own = {"hparams": str(recipe)} if as_recipe else {"more": HYPER_PARAMETERS}
    options, config, choices = chosen("efficientdet-d0", "detection", **own, **OVERRIDES)
    assert not {*OVERRIDES, *HYPER_PARAMETERS, "jitter_min"} & choices.keys()
    assert {name: getattr(options, name) for name in OVERRIDES} == OVERRIDES
    assert {name: getattr(config, name) for name in HYPER_PARAMETERS} == HYPER_PARAMETERS
    # The other choices follow: each photo is still seen about 98 times.
    assert config.num_epochs == 49 and config.optimizer == "adam"


def test_epochs_that_the_user_counts_are_passes_over_the_photos():
    options, config, choices = chosen("efficientdet-d0", "detection", more={"num_epochs": 30})
    assert config.num_epochs == 30 and options.num_examples_per_epoch == 205
    assert "num_epochs" not in choices


@pytest.mark.parametrize("model", ["efficientdet-lite0", "efficientdet-d7"])
def test_the_published_recipe_is_one_word_away(model):
    published = get_config(model, "coco")
    options, config, choices = chosen(model, "detection", hparams="coco")
    assert config.as_dict() == published.as_dict()
    assert options.train_batch_size == choices["train_batch_size"].value
    _, config, choices = chosen(model, "detection", more={"image_size": "published"})
    assert config.image_hw == published.image_hw and "image_size" not in choices


@pytest.mark.parametrize(
    ("model", "task", "number"),
    [
        ("efficientdet-lite0", "detection", 2),
        ("espnetv2_s_0.5", "detection", 3),
        ("espnetv2_s_0.5", "classification", 2),
    ],
)
def test_names_beside_the_records_decide_the_classes(model, task, number, tmp_path):
    options = records(tmp_path, model, task)
    recipe = tmp_path / "own.yaml"
    recipe.write_text("num_classes: 7\nlabel_map: {1: a, 2: b, 3: c}\n")
    for hparams in ("", str(recipe)):
        config = get_config(model, hparams, task=task)
        picks = data_defaults.Picks(options, config)
        names = data_defaults._choose_classes(picks, task_of_config(config), DataFacts(4))
        assert config.num_classes == number and names == {1: "dark", 2: "light"}
        assert picks.choices[0].reason.startswith("labels.json: dark, light")
    written = {"num_classes": 7, "label_map": {1: "a", 2: "b"}}
    config = get_config(model, str(recipe), written, task=task)
    picks = data_defaults.Picks(options, config)
    names = data_defaults._choose_classes(picks, task_of_config(config), DataFacts(4))
    assert config.num_classes == 7 and names == {1: "a", 2: "b"} and not picks.choices


def test_ids_decide_where_there_are_no_names(tmp_path):
    options = records(tmp_path, "efficientdet-d0", "detection")
    (tmp_path / "labels.json").unlink()
    for model, number in (("efficientdet-d0", 5), ("espnetv2_s_0.5", 6)):
        config = get_config(model, task="detection")
        picks = data_defaults.Picks(options, config)
        facts = DataFacts(4, largest_class=5)
        assert data_defaults._choose_classes(picks, task_of_config(config), facts) == {}
        assert config.num_classes == number and "no names" in picks.choices[0].reason


def records(folder, model="efficientdet-lite0", task="detection") -> RunOptions:
    """Options of a run on four made photos, into `folder`."""
    (folder / "labels.json").write_text(json.dumps({1: "dark", 2: "light"}))
    pattern = str(write_made_records(folder / "train-00000-of-00001.tfrecord", 4))
    return options_from(
        {
            "model_name": model,
            "task": task,
            "model_dir": str(folder / "run"),
            "train_file_pattern": pattern,
            "val_file_pattern": pattern,
            "defaults": "data",
        }
    )


def test_a_run_that_resumes_keeps_its_values_whatever_has_become_of_the_data(
    tmp_path, monkeypatch, capsys
):
    options = records(tmp_path)
    config = run_setup.training_config(options)
    strategy = tf.distribute.get_strategy()
    first, kept = data_defaults.complete(options, config, strategy)
    said = capsys.readouterr().out
    assert "num_classes=2 (labels.json: dark, light)" in said
    assert f"train_batch_size={first.train_batch_size} (" in said and "`hparams=coco`" in said
    (tmp_path / "run").mkdir()
    run_folder.write_sidecars(options.model_dir, config, {1: "dark", 2: "light"})
    kept.write(options.model_dir)

    write_made_records(tmp_path / "train-00000-of-00001.tfrecord", 16)
    for module in (run_setup, data_defaults):
        monkeypatch.setattr(module, "latest_checkpoint", lambda _: "ckpt-1.npz")
    plain = options.replace(defaults="published", written=options.written - {"defaults"})
    again = data_defaults.of_run(plain)
    assert again.defaults == "data"
    same = run_setup.training_config(again)
    later, kept_again = data_defaults.complete(again, same, strategy)
    assert same.as_dict() == config.as_dict()
    for name in ("train_batch_size", "num_examples_per_epoch", "eval_batch_size"):
        assert getattr(later, name) == getattr(first, name)
    assert later.eval_samples == 16
    assert kept_again == kept
    assert "that this run began with, not derived" in capsys.readouterr().out

    raised = options_from(
        {**{n: getattr(again, n) for n in again.written}, "train_batch_size": 2, "num_epochs": 500}
    )
    more = run_setup.training_config(raised)
    changed, kept_more = data_defaults.complete(raised, more, strategy)
    assert (changed.train_batch_size, more.num_epochs) == (2, 500)
    assert kept_more.options["train_batch_size"] == 2

    (tmp_path / "run" / "data_defaults.json").write_text("{")
    with pytest.raises(UserError, match="data_defaults.json is damaged"):
        data_defaults.complete(again, same, strategy)
    (tmp_path / "run" / "data_defaults.json").unlink()
    assert data_defaults.of_run(plain).defaults == "published"
    with pytest.raises(UserError, match="did not begin with defaults from the data"):
        data_defaults.complete(again, same, strategy)


def test_room_for_the_objects_of_mixed_photos():
    facts = DataFacts(9, image_of=np.repeat([0, 1], [40, 2]))
    for changes, most in (
        ("", []),
        ("mosaic_prob=0.5", [160]),
        ("mosaic_prob=1,mixup_prob=1", [200]),
    ):
        config = get_config("efficientdet-d0", changes)
        assert [choice.value for choice in object_choices(facts, config)] == most
    assert object_choices(facts, get_config("espnetv2_s_0.5", task="detection")) == []


def test_memory_is_left_for_a_teacher():
    alone, with_teacher = (
        chosen("efficientdet-lite0", "detection", gib=2.5, teacher=teacher)[0]
        for teacher in ("", "efficientdet-d4")
    )
    assert (alone.train_batch_size, with_teacher.train_batch_size) == (8, 4)


@pytest.mark.parametrize("changes", ["anchor_scale=2", "prior_min_scale=0.05"])
def test_a_run_that_starts_from_another_has_its_anchors(changes, tmp_path):
    model = "efficientdet-lite0" if "anchor" in changes else "espnetv2_s_0.5"
    saved = get_config(model, changes, task="detection")
    (tmp_path / "config.yaml").write_text(saved.to_yaml())
    config = get_config(model, task="detection")
    (line,) = take_from_run(config, tmp_path, *anchors_of(model))
    assert line == f"{changes} (from the run in `ckpt`)"
    assert config.anchor_options == saved.anchor_options
    written = get_config(model, changes.partition("=")[0] + "=0.5", task="detection")
    assert take_from_run(written, tmp_path, *anchors_of(model)) == []
    assert take_from_run(get_config("efficientdet-d0"), tmp_path, "anchor_scale") == []
    picks = data_defaults.Picks(options_from({"ckpt": str(tmp_path)}), config)
    machine = Machine("CPU", 1, None)
    data_defaults.choose(picks, task_of_config(config), made_facts(205), NAMES, machine)
    assert config.anchor_options["image_hw"] and not {*anchors_of(model)} & {
        choice.name for choice in picks.choices
    }


def anchors_of(model: str) -> tuple[str, ...]:
    return ("anchor_scale",) if "det" in model else ("prior_min_scale", "prior_max_scale")


def test_transfer_of_a_task_is_chosen_for_short_runs(monkeypatch):
    """Values of the table that differ from the hyper-parameters' defaults, where they are open."""
    own = Transfer(rate=0.5, frozen=0.2, layer_decay=0.8, backbone_bn="freeze_statistics")
    monkeypatch.setattr(DataDefaults, "transfer", {BACKBONE: own})
    start = {"backbone_ckpt": "a"}
    _, config, choices = chosen("efficientdet-lite0", "detection", **start)
    assert (config.freeze, config.layer_decay) == (("backbone",), 0.8)
    assert config.backbone_bn == "freeze_statistics" and config.learning_rate == 1e-3
    assert config.unfreeze_epoch == pytest.approx(0.2 * config.num_epochs, rel=0.05)
    assert all(choice.reason for choice in choices.values())
    for more in ({}, {"freeze": "heads"}):
        given = start if more else {}
        _, config, choices = chosen("efficientdet-lite0", "detection", more=more, **given)
        assert not {"freeze", "unfreeze_epoch"} & choices.keys()
