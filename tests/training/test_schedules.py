"""Learning-rate schedules against the original's numbers."""

import json
import pathlib

import pytest

from efficientvision.errors import UserError
from efficientvision.training.schedules import WarmupSchedule, build_schedule

GOLDENS = pathlib.Path(__file__).parent.parent / "goldens" / "functions.json"
CASES = json.loads(GOLDENS.read_text())["lr"]["cases"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_schedule_is_the_originals(name):
    params, derived = CASES[name]["params"], CASES[name]["derived"]
    method = params["lr_decay_method"]
    schedule = WarmupSchedule(
        "cosine_automl" if method == "cosine" else method,
        peak=derived["adjusted_learning_rate"],
        warmup_init=params["lr_warmup_init"],
        warmup_steps=derived["lr_warmup_step"],
        total_steps=derived["total_steps"],
        first_drop_step=derived["first_lr_drop_step"],
        second_drop_step=derived["second_lr_drop_step"],
        power=params["poly_lr_power"],
    )
    rates = [float(schedule(step)) for step in CASES[name]["steps"]]
    assert rates == pytest.approx(CASES[name]["lr"], rel=1e-6, abs=1e-9)


def _schedule(**changes):
    arguments = {
        "method": "cosine",
        "learning_rate": 0.08,
        "scale": True,
        "batch_size": 16,
        "steps_per_epoch": 10,
        "num_epochs": 30,
        "warmup_epochs": 1.0,
        "warmup_init": 0.008,
        "first_drop_epoch": 20,
        "second_drop_epoch": 25,
        "power": 0.9,
    }
    return build_schedule(**{**arguments, **changes})


def test_rates_scale_with_the_batch():
    schedule = _schedule()
    assert schedule.peak == pytest.approx(0.02)
    assert float(schedule(0)) == pytest.approx(0.002)
    assert (schedule.warmup_steps, schedule.total_steps) == (10, 300)
    assert _schedule(scale=False).peak == 0.08


def test_warmup_never_starts_above_the_peak():
    schedule = _schedule(scale=False, learning_rate=0.002)
    assert float(schedule(0)) == pytest.approx(0.002)
    assert float(schedule(5)) == pytest.approx(0.002)


def test_unknown_method_is_refused():
    with pytest.raises(UserError, match="stairs"):
        _schedule(method="stairs")
