"""Which network of a PyTorch file is loaded: averages, prefixes, wrapped and pruned layers."""

import argparse
import pickle
import pickletools

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import find_checkpoint, open_checkpoint
from tests.weights.made_torch_files import Call, Name, Pickled, Storage, View, write_zip

WEIGHTS = {
    "level1.conv.weight": np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3),
    "level1.bn.weight": np.array([3, 5], np.float32),
    "level1.bn.running_mean": np.array([7, 8], np.float32),
    "classifier.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
}
PARAMETERS = {name: value for name, value in WEIGHTS.items() if "running" not in name}
COUNTER = {"level1.bn.num_batches_tracked": np.array(9, np.int64)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def under(prefix, factor=1, weights=WEIGHTS):
    return {prefix + name: factor * value for name, value in weights.items()}


def found(path, value, ema=True):
    """Name -> value, in PyTorch's layout, as the reader prefers it."""
    write_zip(path, value)
    reader = open_checkpoint(path)
    read = reader.read_many(reader.names(), ema)
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}
    return {n: np.transpose(v, axes.get(v.ndim)) for n, v in read.items()}


def assert_weights(values, factor=1):
    assert set(WEIGHTS) <= set(values)
    for name, value in WEIGHTS.items():
        expected = (factor[name] if isinstance(factor, dict) else factor) * value
        np.testing.assert_array_equal(values[name], expected, err_msg=name)


@pytest.mark.parametrize(
    "value",
    [
        {"model": WEIGHTS, "model_ema": {"n_averaged": np.int64(7), **under("module.", 2)}},
        {"state_dict": {**WEIGHTS, **COUNTER}, "state_dict_ema": under("", 2)},
        {"state_dict": WEIGHTS, "ema": {"decay": 0.9, "shadow": under("", 2)}},
        {"state_dict": {**under("net."), **under("net_ema.", 2)}},
        {**under("model."), **under("ema_model.module.", 2), "ema_model.n_averaged": np.int64(3)},
    ],
    ids=["torchvision", "without counters", "shadow", "Lightning", "beside"],
)
def test_averages_are_taken_name_by_name(path, value):
    assert_weights(found(path, value), 2)
    assert_weights(found(path, value, ema=False), 1)
    assert not open_checkpoint(path).notes


def test_an_average_of_the_parameters_alone_leaves_the_statistics(path):
    factors = {name: 2 if name in PARAMETERS else 1 for name in WEIGHTS}
    value = {"model": WEIGHTS, "ema": under("", 2, PARAMETERS)}
    assert_weights(found(path, value), factors)


def test_averages_that_cannot_be_taken_are_named(path):
    assert_weights(found(path, {"model": WEIGHTS, "ema": under("other.level9.", 2)}))
    (note,) = open_checkpoint(path).notes
    assert "moving averages were not loaded" in note and "level1.conv.weight" in note
    assert_weights(found(path, {"model": WEIGHTS, "ema": {"shadow_params": [np.ones(3)]}}))
    (note,) = open_checkpoint(path).notes
    assert "'ema' was not loaded" in note
    more = {**under("", 2), "head.weight": np.ones((2, 2), np.float32)}
    assert_weights(found(path, {"model": WEIGHTS, "ema": more}), 2)
    (note,) = open_checkpoint(path).notes
    assert note.startswith("1 of its moving averages") and "head.weight" in note
    assert_weights(found(path, {"model": WEIGHTS, "ema": None, "model_ema": {}}))
    assert not open_checkpoint(path).notes


@pytest.mark.parametrize(
    "prefix", ["backbone.", "encoder.", "module.backbone.", "my_net.", "state_dict.", "a.b.c."]
)
def test_any_common_prefix_is_taken_off(path, prefix):
    assert set(found(path, {"state_dict": under(prefix)})) == set(WEIGHTS)


def test_a_prefix_that_is_outnumbered(path):
    losses = {f"metric.{i}": np.ones(1, np.float32) for i in range(9)}
    assert set(found(path, {**losses, **under("model.")})) == {*losses, *WEIGHTS}


def test_a_classifier_beside_its_backbone(path):
    value = {f"model.backbone.{n}": v for n, v in WEIGHTS.items() if n.startswith("level")}
    value["model.classifier.weight"] = WEIGHTS["classifier.weight"]
    assert_weights(found(path, value))


def test_of_several_networks_the_one_that_was_trained(path):
    values = found(path, {**under("teacher.", 3), **under("student.")})
    assert_weights(values)
    assert values["teacher.classifier.weight"][0, 1] == 3
    alike = {**under("encoder_q."), **under("encoder_k.", 2)}
    assert set(found(path, alike)) == set(alike)


@pytest.mark.parametrize(
    "wrapped",
    ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "module"],
)
def test_wrapped_layers_in_the_middle_of_names(path, wrapped):
    value = {name.replace(".", f".{wrapped}.", 1): v for name, v in WEIGHTS.items()}
    values = found(path, value)
    assert set(values) == set(WEIGHTS)
    assert_weights(values)


@pytest.mark.parametrize(
    "key",
    [
        *("model_weights", "model_dict", "best_state_dict", "state", "student", "net_dict"),
        *("G", "anything"),
    ],
)
def test_keys_of_further_trainers(path, key):
    assert_weights(found(path, {"epoch": 1, "optimizer": {"lr": np.ones(1)}, key: WEIGHTS}))


def test_two_networks_under_unknown_keys(path):
    write_zip(path, {"first": WEIGHTS, "second": WEIGHTS})
    with pytest.raises(UserError, match=r"networks under 'first' and 'second'"):
        open_checkpoint(path)


def test_pruned_weights_are_multiplied_by_their_masks(path):
    name = "level1.conv.weight"
    mask = np.zeros((2, 2, 3, 3), np.float32)
    mask[0, 1] = 1
    rest = {n: v for n, v in WEIGHTS.items() if n != name}
    pruned = {**rest, f"{name}_orig": WEIGHTS[name], f"{name}_mask": mask}
    values = found(path, pruned)
    assert set(values) == set(WEIGHTS)
    np.testing.assert_array_equal(values[name], WEIGHTS[name] * mask)
    averages = {**rest, f"{name}_orig": 2 * WEIGHTS[name]}
    values = found(path, {"model": pruned, "ema": averages})
    np.testing.assert_array_equal(values[name], 2 * WEIGHTS[name] * mask)


@pytest.mark.parametrize("ending", ["weight_orig", "weight_g", "parametrizations.weight.original0"])
def test_computed_weights_are_refused_by_name(path, ending):
    write_zip(path, {**WEIGHTS, f"level1.bn.{ending}": np.ones(2, np.float32)})
    with pytest.raises(UserError, match=rf"stores level1\.bn\.{ending}, from which"):
        open_checkpoint(path)


class _Newer:
    """A value as a pickle of a newer protocol holds it, without its head and end."""

    def __init__(self, value, protocol):
        code = pickletools.optimize(pickle.dumps(value, protocol))[2:-1]
        self.code = code[9:] if code[:1] == b"\x95" else code


@pytest.mark.parametrize(
    "value, protocol",
    [
        *(({3, 5}, 4), (frozenset({3}), 4), (bytearray(b"abc"), 5), (np.arange(3), 5)),
        *((argparse.Namespace(a={1}), 5), ({(0, 1): 2, b"x": 3, frozenset({1}): 4}, 4)),
    ],
)
def test_settings_of_newer_pickles_are_passed_over(path, monkeypatch, value, protocol):
    from tests.weights import made_torch_files

    write = made_torch_files._Pickler.write

    def write_newer(self, item):
        if isinstance(item, _Newer):
            self.code += item.code
        else:
            write(self, item)

    monkeypatch.setattr(made_torch_files._Pickler, "write", write_newer)
    assert_weights(found(path, {"args": _Newer(value, protocol), "model": WEIGHTS}))


def test_settings_with_keys_that_are_no_texts(path):
    settings = Pickled({(0, 1): 3, b"a": {("x",): [1]}, 3: 4})
    assert_weights(found(path, {"args": settings, "model": WEIGHTS}))
    write_zip(path, Pickled({(0, 1): 3}))
    with pytest.raises(UserError, match="a key that is a tuple, and no state dict"):
        open_checkpoint(path)


def test_parameters_with_attributes(path):
    def with_state(value):
        return Call("torch._utils _rebuild_parameter_with_state", (value, True, {}, {"a": 1}))

    assert_weights(found(path, {name: with_state(value) for name, value in WEIGHTS.items()}))


@pytest.mark.parametrize("function", ["torch.Size", "collections.OrderedDict", "builtins.set"])
def test_only_tensors_are_rebuilt_by_type(path, function):
    module, _, name = function.rpartition(".")
    call = Call("torch._tensor _rebuild_from_type_v2", (Name(f"{module} {name}"), None, (1,), {}))
    write_zip(path, {**WEIGHTS, "other": call})
    with pytest.raises(UserError, match="rebuilds something that is no tensor"):
        open_checkpoint(path)


def test_a_tensor_of_a_class_of_its_own(path):
    value = np.arange(3, dtype=np.float32)
    parameter = Call("torch._utils _rebuild_parameter", (value, True, {}))
    kind = Name("torch.nn.parameter Parameter")
    rebuild = Name("torch._utils _rebuild_parameter_with_state")
    call = Call("torch._tensor _rebuild_from_type_v2", (rebuild, kind, (parameter, True), {}))
    values = found(path, {**WEIGHTS, "more": call})
    np.testing.assert_array_equal(values["more"], value)
    write_zip(path, {**WEIGHTS, "other": Call("torch.nn.parameter Parameter", (value,))})
    with pytest.raises(UserError, match="calls something that builds no tensor"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["best.pt", "best.pth.tar", "epoch=3.ckpt", "BEST.PTH"])
def test_a_folder_with_a_torch_file(tmp_path, name):
    write_zip(tmp_path / name, WEIGHTS)
    assert find_checkpoint(tmp_path) == str(tmp_path / name)
    assert_weights(found(tmp_path / name, WEIGHTS))


def test_tensors_that_are_parts_of_one_storage(path):
    storage = Storage(np.arange(40, dtype=np.float32))
    value = {
        "level1.a.weight": View(storage, (4,), offset=3),
        "level1.b.weight": View(storage, (2, 2), offset=20),
    }
    values = found(path, value)
    np.testing.assert_array_equal(values["level1.a.weight"], [3, 4, 5, 6])
    np.testing.assert_array_equal(values["level1.b.weight"], [[20, 21], [22, 23]])
