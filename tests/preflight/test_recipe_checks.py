"""The recipe's rows of the preflight."""

import pytest

from efficientvision.preflight.findings import OK, WARNING
from efficientvision.preflight.recipe_checks import recipe_findings
from efficientvision.tasks.choice import get_config
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.schedules import WarmupSchedule

ADAM = "optimizer=adam,moving_average_decay=0.998,bn_momentum=0.9"


def findings(
    override="",
    *,
    batch=8,
    epoch=800,
    epochs=10,
    records=800,
    peak=1e-3,
    warmup=50,
    from_scratch=True,
):
    """Rows by subject."""
    plan = TrainingPlan(batch_size=batch, examples_per_epoch=epoch, num_epochs=epochs)
    schedule = WarmupSchedule(
        "cosine", peak=peak, warmup_init=0, warmup_steps=warmup, total_steps=plan.total_steps
    )
    config = get_config("efficientdet-d0", override)
    rows = recipe_findings(config, plan, schedule, num_records=records, from_scratch=from_scratch)
    return {row.subject: row for row in rows}


def test_a_good_recipe():
    rows = findings(ADAM)
    assert {row.level for row in rows.values()} == {OK}
    assert "1,000 steps of 8 images in 10 epochs" in rows["length"].found
    assert "one pass over" in rows["length"].found


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"records": 205, "epoch": 120000}, "num_examples_per_epoch=205"),
        ({"records": 8000}, "num_examples_per_epoch=8000"),
        ({"records": 5, "epoch": 20}, "train_batch_size=5"),
    ],
)
def test_epochs_and_batches_against_the_number_of_records(options, advice):
    row = findings(ADAM, **options)["length"]
    assert row.level == WARNING and advice in row.advice


def test_several_passes_an_epoch_may_be_meant_so():
    assert findings(ADAM, records=100)["length"].level == OK


@pytest.mark.parametrize(
    ("override", "options", "word"),
    [
        # The rate of batch 64 at batch 8; the default rate with another optimizer.
        ("optimizer=sgd", {"peak": 0.08, "epochs": 40}, "scale_learning_rate=true"),
        ("optimizer=adamw", {"peak": 0.01}, "learning_rate=2e-3"),
        (ADAM, {"warmup": 600}, "lr_warmup_epoch=0.5"),
        ("optimizer=sgd", {"peak": 0.01}, "optimizer=adam"),
    ],
)
def test_learning_rates_that_do_not_suit(override, options, word):
    row = findings(override, **options)["learning rate"]
    assert row.level == WARNING and word in row.advice


@pytest.mark.parametrize("options", [{"from_scratch": False}, {"epochs": 40}])
def test_scaled_sgd_is_fine_from_a_checkpoint_or_in_a_long_run(options):
    row = findings("optimizer=sgd", peak=0.01, **options)["learning rate"]
    assert row.level == OK and "0.08 at batch 64" in row.found


def test_averages_ramp_up():
    # After step t the decay is at most (1 + t) / (10 + t): 1001 / 1010 here.
    row = findings("optimizer=adam,moving_average_decay=0.9998")["weight averages"]
    assert row.level == OK and "the last 112 of 1,000 steps" in row.found
    assert "weight averages" not in findings("optimizer=adam,moving_average_decay=0")


def test_statistics_that_lag():
    row = findings("optimizer=adam", epochs=5)["batch norm"]
    assert row.level == WARNING and "the last 100 of 500 steps" in row.found
    assert "bn_momentum=0.9" in row.advice
    assert findings(ADAM, epochs=5)["batch norm"].level == OK
    short = findings("optimizer=adam", epoch=16, epochs=1)["batch norm"].found
    assert short == "statistics of the last 2 of 2 steps"
    assert "batch norm" not in findings("optimizer=adam,is_training_bn=false", epochs=5)
    assert findings(ADAM, epoch=80, epochs=5)["batch norm"].advice == "train for more steps"


def test_a_classifiers_rate_is_for_its_batch():
    """EdgeNets' 0.1 is for 512 images; warm restarts go up to five times that."""
    plan = TrainingPlan(batch_size=32, examples_per_epoch=800, num_epochs=200)
    schedule = WarmupSchedule(
        "cosine", peak=0.5, warmup_init=0, warmup_steps=0, total_steps=plan.total_steps
    )
    config = get_config("espnetv2_s_1.0")
    rows = recipe_findings(config, plan, schedule, num_records=800, from_scratch=True)
    (row,) = [row for row in rows if row.subject == "learning rate"]
    assert row.level == WARNING and "learning_rate=0.0063" in row.advice


@pytest.mark.parametrize(
    ("override", "from_scratch", "level", "text"),
    [
        ("freeze=backbone", False, OK, "backbone, in the whole run"),
        ("freeze=backbone,unfreeze_epoch=2.5", False, OK, "until epoch 2.5 of 10"),
        ("freeze=backbone,unfreeze_epoch=10", False, WARNING, "unfreeze_epoch=10 of 10 epochs"),
        ("layer_decay=0.8", False, OK, "by 0.8 from each stage"),
        ("layer_decay=0.8", True, WARNING, "random weights need the full rate"),
        ("layer_decay=0.8,freeze=backbone", False, WARNING, "the backbone is frozen"),
    ],
)
def test_what_is_frozen_and_rates_by_stage(override, from_scratch, level, text):
    rows = findings(f"{ADAM},{override}", from_scratch=from_scratch)
    row = rows["layer decay" if "layer_decay" in override else "frozen"]
    assert row.level == level and text in row.found + (row.advice or "")
