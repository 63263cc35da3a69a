"""Moving averages of weights and statistics."""

import keras
import numpy as np
import pytest

from efficientvision.training.averaging import WeightAverages
from efficientvision.training.flat_variables import FlatVariables


def _variables():
    return [
        keras.Variable(np.ones((2, 3), np.float32), name="a"),
        keras.Variable(np.zeros(4, np.float32), name="b", trainable=False),
    ]


def _averages(variables, decay):
    groups = [FlatVariables(variables[:1], "first"), FlatVariables(variables[1:], "second")]
    return groups, WeightAverages(groups, decay)


def test_decay_ramps_up():
    variables = _variables()
    groups, averages = _averages(variables, 0.9998)
    expected = [v.numpy() for v in variables]
    for step in range(4):
        for i, variable in enumerate(variables):
            variable.assign(variable.numpy() + step + i + 1.0)
        for group in groups:
            group.gather()
        averages.update(step)
        decay = min(0.9998, (1 + step) / (10 + step))
        expected = [
            decay * e + (1 - decay) * v.numpy() for e, v in zip(expected, variables, strict=True)
        ]
    result = averages.numpy()
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(result[variable.path], value, rtol=1e-6)


def test_applied_swaps_and_swaps_back():
    variables = _variables()
    _, averages = _averages(variables, 0.5)
    variables[0].assign(np.full((2, 3), 7.0))
    with averages.applied():
        np.testing.assert_array_equal(variables[0].numpy(), 1.0)
    np.testing.assert_array_equal(variables[0].numpy(), 7.0)
    # What is trained and saved after an evaluation that was cancelled is not the averages.
    with pytest.raises(KeyboardInterrupt), averages.applied():
        raise KeyboardInterrupt
    np.testing.assert_array_equal(variables[0].numpy(), 7.0)


def test_zero_decay_keeps_none():
    _, averages = _averages(_variables(), 0.0)
    averages.update(0)
    assert not averages.enabled
    assert averages.numpy() == {}
