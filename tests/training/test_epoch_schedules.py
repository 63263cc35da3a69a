"""Learning rates by epoch against those that the EdgeNets code gave."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.training.epoch_schedules import EpochSchedule, epoch_rates
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.schedules import WarmupSchedule

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "goldens/edgenets/lr_schedulers.json").read_text()
)
CLASSIFICATION_STEPS = (51, 101, 131, 161, 191, 221, 251, 281)

# Case of the golden -> what its constructor was called with.
CASES = {
    "CyclicLR_class_defaults": ("clr", 0.1, {"steps": CLASSIFICATION_STEPS}),
    "cls_clr_default": ("clr", 0.1, {"steps": CLASSIFICATION_STEPS}),
    "cls_fixed_default": ("fixed", 0.1, {"steps": CLASSIFICATION_STEPS}),
    "FixedMultiStepLR_class_defaults": ("fixed", 0.1, {"steps": (30, 60, 90), "decay": 0.1}),
    "cls_poly_default": ("poly", 0.1, {"power": 0.99}),
    "cls_linear_default": ("linear", 0.1, {}),
    "cls_hybrid_default": ("hybrid", 0.1, {"clr_max": 61}),
    "cls_hybrid_readme_120": ("hybrid", 0.1, {"clr_max": 61}),
    "seg_hybrid_default": ("hybrid", 0.009, {"clr_max": 61}),
    "seg_hybrid_stage2_lr0.005": ("hybrid", 0.005, {"clr_max": 61}),
    "seg_poly_default": ("poly", 0.009, {"power": 0.9}),
    "seg_fixed_default": ("fixed", 0.009, {"steps": (51, 102)}),
    "seg_clr_default": ("clr", 0.009, {"steps": (51,)}),
    "seg_linear_default": ("linear", 0.009, {}),
    "det_clr_default": ("clr", 0.01, {"steps": (51, 161, 201), "decay": 0.1}),
    "det_poly": ("poly", 0.01, {"power": 0.9}),
    "det_hybrid_default": ("hybrid", 0.01, {"clr_max": 160}),
    "det_hybrid_readme": ("hybrid", 0.01, {"clr_max": 61}),
    "short20:CyclicLR(min_lr=0.1,steps=[8,16],gamma=.5)": ("clr", 0.1, {"steps": (8, 16)}),
    "short20:PolyLR(0.1,20)": ("poly", 0.1, {"power": 0.99}),
    "short20:LinearLR(0.1,20)": ("linear", 0.1, {}),
    "short20:HybirdLR(0.1,clr_max=11,max_epochs=20)": ("hybrid", 0.1, {"clr_max": 11}),
    "short20:FixedMultiStepLR(0.1,[5,10,15],0.5)": ("fixed", 0.1, {"steps": (5, 10, 15)}),
}
COSINE = ("det_cosine", "short20:CosineLR(0.1,20)")


def test_every_case_of_the_golden_is_looked_at():
    assert set(CASES) | set(COSINE) == set(GOLDEN)


@pytest.mark.parametrize("case", CASES)
def test_rates_are_those_of_edgenets(case):
    method, rate, options = CASES[case]
    expected = GOLDEN[case]["values"]
    found = epoch_rates(method, learning_rate=rate, num_epochs=len(expected), **options)
    assert found == expected


@pytest.mark.parametrize("case", COSINE)
def test_cosine_without_warm_up_is_edgenets_cosine(case):
    expected = GOLDEN[case]["values"]
    schedule = WarmupSchedule(
        "cosine", peak=expected[0], warmup_init=0.0, warmup_steps=0, total_steps=len(expected)
    )
    found = [float(schedule(epoch)) for epoch in range(len(expected))]
    # Theirs are rounded to six digits.
    np.testing.assert_allclose(found, expected, atol=6e-7)


def test_a_rate_lasts_as_long_as_the_plans_epoch():
    """100 images in batches of 8: epochs begin at steps 12, 25, 37."""
    plan = TrainingPlan(batch_size=8, examples_per_epoch=100, num_epochs=4)
    schedule = EpochSchedule([1.0, 2.0, 3.0, 4.0], steps_per_epoch=100 / 8)
    found = [float(schedule(step)) for step in range(plan.total_steps)]
    assert found == [1.0 + plan.epoch_of(step) for step in range(plan.total_steps)]
    assert float(schedule(10**6)) == 4.0


def test_warm_up_leads_to_the_epochs_rate():
    schedule = EpochSchedule([0.4, 0.2], steps_per_epoch=10, warmup_init=0.1, warmup_steps=3)
    found = [float(schedule(step)) for step in (0, 1, 2, 3, 9, 10)]
    np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.4, 0.4, 0.2], rtol=1e-6)


def test_unknown_method_names_the_known_ones():
    with pytest.raises(UserError, match="hybrid, clr"):
        epoch_rates("warm", learning_rate=0.1, num_epochs=3)
