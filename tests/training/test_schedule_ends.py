"""Where learning rates end: at the last step of a run, whatever its warm-up."""

import itertools

import numpy as np
import pytest

from efficientvision.preflight.findings import WARNING
from efficientvision.preflight.recipe_checks import recipe_findings
from efficientvision.tasks.choice import get_config
from efficientvision.training.epoch_schedules import epoch_rates
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.schedules import build_schedule

OPTIONS = {
    "learning_rate": 0.1,
    "scale": False,
    "batch_size": 8,
    "warmup_init": 0.0,
    "first_drop_epoch": 20,
    "second_drop_epoch": 25,
    "power": 0.9,
}


def _rates(method, *, epochs, steps_per_epoch, warmup, **changes):
    schedule = build_schedule(
        method=method,
        num_epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=warmup,
        **{**OPTIONS, **changes},
    )
    return np.array([float(schedule(step)) for step in range(int(epochs * steps_per_epoch) + 1)])


@pytest.mark.parametrize(("epochs", "warmup"), [(2, 1.0), (4, 1.0), (10, 3.5), (3, 0.0), (2, 1.9)])
def test_cosine_falls_from_the_peak_to_zero(epochs, warmup):
    rates = _rates("cosine", epochs=epochs, steps_per_epoch=10, warmup=warmup)
    start = int(warmup * 10)
    np.testing.assert_allclose(rates[:start], 0.1 * np.arange(start) / max(start, 1), rtol=1e-5)
    share = np.arange(len(rates) - start) / (len(rates) - 1 - start)
    expected = 0.1 * np.cos(share * np.pi / 2) ** 2  # Half of 1 + cos.
    np.testing.assert_allclose(rates[start:], expected, atol=1e-8)
    assert rates[-1] == pytest.approx(0, abs=1e-8)
    assert (np.diff(rates[start:]) < 0).all()


def test_the_originals_cosine_is_kept_under_its_own_name():
    """With a warm-up of half of the run it is 0 after the warm-up and full at the last step."""
    rates = _rates("cosine_automl", epochs=2, steps_per_epoch=10, warmup=1.0)
    assert rates[10] == pytest.approx(0, abs=1e-8)
    assert rates[20] == pytest.approx(0.1)
    assert get_config("efficientdet-d0", "lr_decay_method=cosine_automl").lr_decay_method


def test_cosine_stays_at_zero_beyond_the_end():
    schedule = build_schedule(
        method="cosine", num_epochs=2, steps_per_epoch=10, warmup_epochs=1.0, **OPTIONS
    )
    assert float(schedule(30)) == pytest.approx(0, abs=1e-8)


def test_a_schedule_is_as_long_as_the_plan():
    for examples, batch, epochs in itertools.product((10, 49, 205), (3, 7, 8), (3, 10, 49)):
        plan = TrainingPlan(batch_size=batch, examples_per_epoch=examples, num_epochs=epochs)
        schedule = build_schedule(
            method="cosine",
            num_epochs=epochs,
            steps_per_epoch=examples / batch,
            warmup_epochs=1.0,
            **OPTIONS,
        )
        assert schedule.total_steps == plan.total_steps


@pytest.mark.parametrize("method", ["cosine", "polynomial", "linear", "poly", "hybrid"])
def test_a_decay_to_zero_ends_far_below_the_peak(method):
    rates = _rates(method, epochs=30, steps_per_epoch=10, warmup=2.0, clr_max=10)
    assert rates[-2] < 0.1 * 0.06
    assert rates[15:].argmax() < len(rates) / 2


@pytest.mark.parametrize("method", ["fixed", "clr", "linear", "poly", "hybrid"])
def test_rounding_as_edgenets_do_makes_no_small_rate_zero(method):
    """Their five decimals make 0 of a fine-tuning rate; in proportion it is as any other."""
    options = {"num_epochs": 20, "clr_max": 11, "steps": (8, 16)}
    small = epoch_rates(method, learning_rate=2e-6, **options)
    large = epoch_rates(method, learning_rate=0.2, **options)
    np.testing.assert_allclose(np.array(small) * 1e5, large, rtol=0.011)


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("lr_decay_method=stepwise", "first_lr_drop_epoch=20,second_lr_drop_epoch=25"),
        ("lr_decay_method=hybrid", "clr_max=15"),
        ("lr_decay_method=stepwise,first_lr_drop_epoch=20", None),
        ("lr_decay_method=cosine", None),
    ],
)
def test_drops_that_the_run_never_reaches_are_said(override, advice):
    config = get_config("efficientdet-d0", override)
    plan = TrainingPlan(batch_size=8, examples_per_epoch=800, num_epochs=30)
    schedule = build_schedule(
        method=config.lr_decay_method,
        num_epochs=30,
        steps_per_epoch=100,
        warmup_epochs=1.0,
        **{**OPTIONS, "first_drop_epoch": config.first_lr_drop_epoch},
        clr_max=config.clr_max,
    )
    rows = recipe_findings(config, plan, schedule, num_records=800, from_scratch=False)
    found = [row for row in rows if row.subject == "decay"]
    assert [row.advice for row in found if row.level == WARNING] == (
        [f"set {advice}"] if advice else []
    )
