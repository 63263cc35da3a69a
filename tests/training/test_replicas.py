"""One replica and two logical CPU devices train alike: same losses, weights, averages, slots."""

import pytest

from tests.training.replicas import FAST, SLOW, assert_alike, results


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in FAST if case != "seeds"])
def test_small_networks(case):
    assert_alike(results(*FAST)[case])


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_others(case):
    assert_alike(results(*SLOW)[case])


@pytest.mark.slow
def test_layers_draw_by_step_replica_and_layer():
    first, later, again = results(*FAST)["seeds"]
    # Step 0 after step 5 draws what step 0 drew: nothing is carried over.
    assert first == again
    states = [tuple(state) for step in (first, later) for layer in step for state in layer]
    assert len(set(states)) == len(states) == 2 * 2 * 2
