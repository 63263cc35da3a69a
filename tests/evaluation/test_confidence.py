"""Confidence intervals: against formulas, and coverage of a known truth."""

import math

import numpy as np
import pytest

from efficientvision.evaluation.confidence import (
    RESAMPLES,
    Intervals,
    PerImage,
    confidence_intervals,
    paired_differences,
    read_intervals,
    resampled_weights,
    wilson,
)


def _mean_of(values, **more):
    return PerImage(len(values), lambda w: {"mean": float(w @ values / w.sum())}, **more)


def test_the_interval_of_a_mean_is_that_of_the_formula():
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = confidence_intervals(_mean_of(values)).of["mean"]
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_every_resample_draws_as_many_images_and_the_same_at_each_call():
    first, again = (list(resampled_weights(9, 5)) for _ in range(2))
    assert all(weights.sum() == 9 and weights.dtype == np.int64 for weights in first)
    assert np.array_equal(first, again) and not np.array_equal(first[0], first[1])


def test_wilson_by_hand_and_at_the_ends():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert confidence_intervals(_mean_of(np.ones(20), shares=("mean",))).of["mean"] == (
        pytest.approx((1 - 0.1611, 1.0), abs=5e-5)
    )


def test_undefined_metrics_have_no_interval_and_undefined_resamples_do_not_count():
    has = np.array([1, 0, 0])

    def metrics(weights):
        found = int(weights @ has)
        return {"never": math.nan, **({"sometimes": 1 / found} if found else {})}

    of = confidence_intervals(PerImage(3, metrics)).of
    assert of.keys() == {"sometimes"}
    assert of["sometimes"] == pytest.approx((1 / 3, 1.0))


def test_large_sets_are_resampled_less_often_and_it_says_so():
    large = _mean_of(np.ones(3), items=10**7)
    assert _mean_of(np.ones(3), items=10**5).resamples == RESAMPLES
    assert 100 <= large.resamples < RESAMPLES
    found = Intervals(50_000, large.resamples, {})
    assert "fewer than usual" in found.explained() and "wide" not in found.explained()
    assert "With only 72 images the intervals are wide." in Intervals(72, 1000, {}).explained()


def test_files_are_read_back_and_damage_is_refused():
    found = confidence_intervals(_mean_of(np.arange(4.0)))
    assert read_intervals(found.table()) == found
    assert read_intervals({}) is None
    with pytest.raises(ValueError):
        read_intervals({"of": [1]})


def test_a_paired_difference_is_clear_where_single_intervals_overlap():
    rng = np.random.default_rng(2)
    hard = rng.normal(0.5, 0.2, 200)
    first, second = _mean_of(hard), _mean_of(hard + rng.normal(0.02, 0.03, 200))
    found = paired_differences([first], [second])["mean"]
    assert found.is_clear and found.interval.low < 0.02 < found.interval.high
    one, other = (confidence_intervals(side).of["mean"] for side in (first, second))
    assert one.high > other.low
    assert not paired_differences([first], [first])["mean"].is_clear


def test_several_runs_add_the_chance_of_training():
    values = np.random.default_rng(2).normal(0.5, 0.01, 400)
    first = [_mean_of(values + shift) for shift in (-0.1, 0.0, 0.1)]
    second = [_mean_of(values + 0.05 + shift) for shift in (-0.1, 0.0, 0.1)]
    found = paired_differences(first, second)["mean"]
    assert found.second - found.first == pytest.approx(0.05)
    assert not found.is_clear
    # Each mean varies by 0.1 / sqrt(3), their difference by sqrt(2) times that.
    assert found.interval.high - found.interval.low > 2 * 1.5 * 0.1 * math.sqrt(2 / 3)
    assert paired_differences(first[:1], second[:1])["mean"].is_clear
