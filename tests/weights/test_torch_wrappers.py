"""What trainers put around a state dict: keys, prefixes, settings, averages."""

import argparse
import collections
import datetime
import pathlib
import types

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.torch_file import open_torch_file
from tests.weights.made_torch_files import Call, Name, Pickled, write_legacy, write_zip

WEIGHTS = {
    "level1.conv.weight": np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3),
    "level1.bn.running_mean": np.arange(2, dtype=np.float32),
    "classifier.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
}


@pytest.fixture(params=[write_legacy, write_zip], ids=["legacy", "zip"])
def write(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def under(prefix, factor=1):
    return {prefix + name: factor * value for name, value in WEIGHTS.items()}


def assert_holds_the_weights(path, factor=1):
    file = open_torch_file(path)
    values = dict(zip(file.tensors, file.read(list(file.tensors)), strict=True))
    assert set(WEIGHTS) <= set(values)
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(values[name], factor * value, err_msg=name)
    return file


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "_orig_mod.", "model.", "net.", "network.", "_forward_module."),
        *("module._orig_mod.", "_orig_mod.module.", "model._orig_mod.", "model.module.model."),
    ],
)
def test_what_a_network_was_wrapped_in_is_taken_off(path, write, prefix):
    write(path, under(prefix))
    assert set(assert_holds_the_weights(path).tensors) == set(WEIGHTS)


def test_tensors_beside_a_wrapped_network_keep_their_names(path):
    """A Lightning module's loss, the counter of an averaged model."""
    write_zip(path, {"n_averaged": np.int64(7), **under("module.")})
    assert set(assert_holds_the_weights(path).tensors) == {"n_averaged", *WEIGHTS}
    loss = {"criterion.weight": np.ones(3, np.float32)}
    write_zip(path, {"state_dict": {**under("model."), **loss}, "epoch": 3})
    assert set(assert_holds_the_weights(path).tensors) == {"criterion.weight", *WEIGHTS}


def test_names_that_would_meet_keep_their_prefix(path):
    both = {**WEIGHTS, **under("model.", 2), "model.more.weight": np.ones(1, np.float32)}
    write_zip(path, both)
    assert set(open_torch_file(path).tensors) == set(both)


@pytest.mark.parametrize(
    "key",
    [
        *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
        *("net_state_dict", "params", "module", "state_dict_ema", "model_ema", "ema"),
    ],
)
def test_keys_of_training_checkpoints(path, write, key):
    optimizer = {"state": {0: {"momentum_buffer": np.ones(2, np.float32)}}, "param_groups": []}
    write(path, {"epoch": 3, "optimizer": optimizer, key: under("module.")})
    assert set(assert_holds_the_weights(path).tensors) == set(WEIGHTS)


def test_a_state_dict_two_dictionaries_deep(path):
    write_zip(path, {"checkpoint": {"epoch": 1, "state_dict": under("model.")}})
    assert set(assert_holds_the_weights(path).tensors) == set(WEIGHTS)


def test_averages_beside_the_weights_are_the_readers_moving_averages(path, write):
    write(path, {"state_dict": under("module."), "state_dict_ema": under("", 2)})
    assert_holds_the_weights(path)
    reader = open_checkpoint(path)
    assert reader.ema_keys and set(reader.names()) == set(WEIGHTS)
    name = "level1.bn.running_mean"
    np.testing.assert_array_equal(reader.read(name), 2 * WEIGHTS[name])
    np.testing.assert_array_equal(reader.read(name, ema=False), WEIGHTS[name])


def test_averages_of_other_names_are_not_mixed_in(path):
    write_zip(path, {"state_dict": WEIGHTS, "ema": {"decay": np.ones(1, np.float32)}})
    reader = open_checkpoint(path)
    assert not reader.ema_keys and set(reader.names()) == set(WEIGHTS)


@pytest.mark.parametrize(
    "settings",
    [
        Pickled(argparse.Namespace(lr=0.1, name="run", sizes=[1, 2], more={"a": (1, None)})),
        Pickled(types.SimpleNamespace(lr=0.1)),
        Pickled(pathlib.PurePosixPath("/data/run")),
        Pickled(datetime.datetime(2024, 5, 6)),
        Pickled(collections.Counter([3, 3, 5])),
        Pickled(collections.defaultdict(dict, a={"b": 1})),
        Pickled({3, 5}),
        Pickled(1 + 2j),
        Pickled([np.arange(3), np.float64(0.5), np.float32]),
        Name("torch float32"),
        Call("torch device", ("cuda", 0)),
    ],
    ids=lambda s: type(getattr(s, "value", s)).__name__,
)
def test_settings_beside_the_weights_are_not_read(path, write, settings):
    write(path, {"args": settings, "model": dict(WEIGHTS)})
    assert set(assert_holds_the_weights(path).tensors) == set(WEIGHTS)
    write(path, {**WEIGHTS, "args": settings})
    assert set(assert_holds_the_weights(path).tensors) == set(WEIGHTS)


class Settings:
    """A trainer's own class."""

    lr = 0.1


@pytest.mark.parametrize("value", [Settings(), np.sum], ids=["object", "function"])
def test_other_objects_get_the_sentence_that_helps(path, write, value):
    write(path, {"args": Pickled(value), "model": dict(WEIGHTS)})
    with pytest.raises(UserError, match=r"nothing of it was run.*save model\.state_dict\(\) alone"):
        open_torch_file(path)


def test_settings_alone_are_no_weights(path, write):
    write(path, Pickled(argparse.Namespace(lr=0.1)))
    with pytest.raises(UserError, match=r"holds a Python object, not a state dict"):
        open_torch_file(path)


@pytest.mark.parametrize(
    "key, says",
    [
        (lambda k: k * (2**61 - 1), "number of more than 60 bits"),
        (lambda k: -(k + 1) * (2**61 - 1), "number of more than 60 bits"),
        (lambda k: float(k) + 0.5, "more than 1,000 keys"),
    ],
    ids=["multiples", "negative", "decimals"],
)
def test_keys_made_to_collide_are_refused_at_once(path, write, key, says):
    write(path, {"state": {key(k): None for k in range(1, 2000)}, "model": dict(WEIGHTS)})
    with pytest.raises(UserError, match=says):
        open_torch_file(path)


def test_ids_of_old_optimizers_are_keys(path):
    states = {140_240_000_000_000 + 8 * k: {"step": k} for k in range(1000)}
    write_legacy(path, {"optimizer": {"state": states}, "state_dict": WEIGHTS})
    assert_holds_the_weights(path)
