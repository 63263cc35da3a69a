"""The optimizers on vectors give what Keras' optimizers give on the variables themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.optimizers import FlatOptimizer, build_optimizer

SHAPES = {"bias": (3,), "kernel": (2, 3), "gamma": (4,), "pointwise_kernel": (1, 1, 3, 2)}
KERAS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3),
}


def _variables():
    rng = np.random.default_rng(1)
    return [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=name)
        for name, shape in SHAPES.items()
    ]


def _gradients(step):
    rng = np.random.default_rng(step)
    return {n: tf.constant(rng.normal(size=s), tf.float32) for n, s in SHAPES.items()}


def _apply(optimizer, step):
    gradients = _gradients(step)
    for group in optimizer.groups:
        group.gather()
    optimizer.apply(
        [group.join([gradients[v.name] for v in group.variables]) for group in optimizer.groups]
    )
    optimizer.iterations.assign_add(1)
    for group in optimizer.groups:
        group.scatter()


@pytest.mark.parametrize("name", sorted(KERAS))
def test_equals_keras(name):
    ours, theirs = _variables(), _variables()
    flat = FlatOptimizer(build_optimizer(name, weight_decay=0.3), 0.1, ours)
    plain = KERAS[name]()
    if name == "adamw":
        plain.exclude_from_weight_decay(var_names=["bias", "gamma"])
    for step in range(4):
        _apply(flat, step)
        gradients = _gradients(step)
        plain.apply([gradients[v.name] for v in theirs], theirs)
    # An update of Adam's is about 0.1; 1 - beta_2 is 5e-5 off in float32, where the fused operation
    # computes it.
    tolerance = 1e-7 if name == "sgd" else 1e-5
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6, atol=tolerance)
    assert int(flat.updates) == 4


def test_rate_is_a_function_of_the_step():
    flat = FlatOptimizer(build_optimizer("sgd"), lambda step: 0.5 * tf.cast(step, tf.float32), [
        *_variables()
    ])  # fmt: skip
    flat.iterations.assign(3)
    assert float(flat.learning_rate) == 1.5


@pytest.mark.parametrize("name", sorted(KERAS))
def test_slots_by_path_survive_another_order_of_variables(name):
    first, second = _variables(), _variables()[::-1]
    source = FlatOptimizer(build_optimizer(name), 0.1, first)
    _apply(source, 0)
    saved = source.numpy()
    assert sum(key.endswith("/kernel") for key in saved) == (1 if name == "sgd" else 2)

    target = FlatOptimizer(build_optimizer(name), 0.1, second)
    for variable, value in zip(second[::-1], first, strict=True):
        variable.assign(value.numpy())
    target.load(saved)
    for optimizer in (source, target):
        _apply(optimizer, 1)
    for mine, other in zip(second[::-1], first, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6)
    assert int(target.iterations) == int(target.updates) == 2


def test_checkpoints_from_before_steps_could_be_skipped():
    source = FlatOptimizer(build_optimizer("adam"), 0.1, _variables())
    saved = {**source.numpy(), "iterations": np.int64(7)}
    del saved["updates"]
    target = FlatOptimizer(build_optimizer("adam"), 0.1, _variables())
    target.load(saved)
    assert int(target.updates) == 7


def test_slots_of_another_optimizer_are_refused():
    saved = FlatOptimizer(build_optimizer("sgd"), 0.1, _variables()).numpy()
    with pytest.raises(UserError, match="another optimizer"):
        FlatOptimizer(build_optimizer("adam"), 0.1, _variables()).load(saved)


def test_unknown_name_is_refused():
    with pytest.raises(UserError, match="lamb"):
        build_optimizer("lamb")


def test_weight_decay_of_all_weights():
    """Of the two groups the kernels alone are decayed, or both."""
    kernel = keras.Variable(np.ones(3, "float32"), name="kernel")
    gamma = keras.Variable(np.ones(2, "float32"), name="gamma")
    for decay_all, expected in ((False, [True, False]), (True, [True, True])):
        optimizer = FlatOptimizer(build_optimizer("sgd"), 0.1, [kernel, gamma], decay_all=decay_all)
        assert optimizer.decayed == expected
    # No gradient: what changes is the decoupled decay, 1 - 0.5 * 0.1.
    rule = build_optimizer("adamw", weight_decay=0.5)
    optimizer = FlatOptimizer(rule, 0.1, [kernel, gamma], decay_all=True)
    for group in optimizer.groups:
        group.gather()
    optimizer.apply([tf.zeros(3), tf.zeros(2)])
    for group in optimizer.groups:
        np.testing.assert_allclose(group.vector.numpy(), 0.95, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(KERAS))
def test_parts_with_other_learning_rates(name):
    """As two optimizers, the second at three times the rate of the first."""
    ours, slow, fast = _variables(), _variables(), _variables()
    names = list(SHAPES)[::2]
    both = FlatOptimizer(
        build_optimizer(name, weight_decay=0.3),
        0.1,
        ours,
        rate_factor=lambda path: 3.0 if path.rpartition("/")[2] in names else 1.0,
    )
    plain = [
        FlatOptimizer(build_optimizer(name, weight_decay=0.3), rate, variables)
        for rate, variables in ((0.1, slow), (0.3, fast))
    ]
    for step in range(3):
        for optimizer in (both, *plain):
            _apply(optimizer, step)
    for mine, slower, faster in zip(ours, slow, fast, strict=True):
        expected = faster if mine.name in names else slower
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)
