"""The flat optimizer gives what Keras' optimizer gives on the variables themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.optimizers import FlatOptimizer, build_optimizer

SHAPES = {"bias": (3,), "kernel": (2, 3), "gamma": (4,), "pointwise_kernel": (1, 1, 3, 2)}


def _variables():
    rng = np.random.default_rng(1)
    return [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=name)
        for name, shape in SHAPES.items()
    ]


def _gradients(step):
    rng = np.random.default_rng(step)
    return {n: tf.constant(rng.normal(size=s), tf.float32) for n, s in SHAPES.items()}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_equals_keras(name):
    ours, theirs = _variables(), _variables()
    flat = FlatOptimizer(build_optimizer(name, 0.1, weight_decay=0.3), ours)
    plain = build_optimizer(name, 0.1, weight_decay=0.3)
    if name == "adamw":
        plain.exclude_from_weight_decay(var_names=["bias", "gamma"])
    for step in range(4):
        gradients = _gradients(step)
        flat.apply([gradients[v.name] for v in flat.variables], replicas=1)
        plain.apply([gradients[v.name] for v in theirs], theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6, atol=1e-7)
    assert int(flat.iterations) == 4


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_slots_by_path_survive_another_order_of_variables(name):
    first, second = _variables(), _variables()[::-1]
    source = FlatOptimizer(build_optimizer(name, 0.1), first)
    source.apply([_gradients(0)[v.name] for v in source.variables], replicas=1)
    saved = source.numpy()
    assert sum(key.endswith("/kernel") for key in saved) == (1 if name == "sgd" else 2)

    target = FlatOptimizer(build_optimizer(name, 0.1), second)
    for variable, value in zip(second[::-1], first, strict=True):
        variable.assign(value.numpy())
    target.load(saved)
    for optimizer in (source, target):
        optimizer.apply([_gradients(1)[v.name] for v in optimizer.variables], replicas=1)
    for mine, other in zip(second[::-1], first, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6)
    assert int(target.iterations) == 2


def test_slots_of_another_optimizer_are_refused():
    saved = FlatOptimizer(build_optimizer("sgd", 0.1), _variables()).numpy()
    with pytest.raises(UserError, match="another optimizer"):
        FlatOptimizer(build_optimizer("adam", 0.1), _variables()).load(saved)


def test_unknown_name_is_refused():
    with pytest.raises(UserError, match="lamb"):
        build_optimizer("lamb", 0.1)
