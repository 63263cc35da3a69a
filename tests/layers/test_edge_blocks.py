"""The EdgeNets' blocks against the original's outputs, and on every road out of Keras."""

import functools
import json
import pathlib
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.exports import litert_format, onnx_format
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.edgenet_names import name_from_path
from tests.filled_edge_network import GOLDENS
from tests.layers.edge_blocks import BLOCK, CASES, build
from tests.weights.made_torch_files import write_zip

# One of each kind of layer; EESP with all that differs at a stride.
EXPORTED = [
    "conv/cbr_k3_d2_g2",
    "conv/prelu",
    "eesp/eesp_s1_res",
    "eesp/eesp_s2_avg",
    "eesp/down_reinf",
    "dice/dice_8_12_hw7_mixed",
    "dice/strided_dice_8_hw7_14",
    "dice/shuffle_dice_16_24",
    "shuffle/strided_shuffle",
    "shuffle/shuffle_block_16_24",
    "epp/epp_default_13x20",
    "epp/pwconv_16_12",
]


@functools.cache
def golden(case):
    """Inputs `[N, H, W, C]`, state dict, output `[N, H, W, C]` and number of parameters."""
    folder, name = case.split("/")
    with np.load(GOLDENS / "blocks" / f"{folder}.npz") as arrays:
        mine = {k.split("|", 1)[1]: arrays[k] for k in arrays.files if k.split("|")[0] == name}
    inputs = [np.moveaxis(mine[k], 1, -1) for k in sorted(mine) if k.startswith("in")]
    weights = {k.removeprefix("w|"): v for k, v in mine.items() if k.startswith("w|")}
    params = json.loads((GOLDENS / "blocks" / "params.json").read_text())[case]
    return inputs, weights, np.moveaxis(mine["out"], 1, -1), params


def loaded(case, folder, dtype="float32"):
    """The case's model with the weights of its state dict, by way of a file."""
    inputs, weights, _, _ = golden(case)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = build(case, [x.shape[1:] for x in inputs])
    finally:
        keras.config.set_dtype_policy(before)
    if weights:
        path = folder / "block.pth"
        write_zip(path, weights)
        ours = {
            name_from_path(v.path.removeprefix(f"{BLOCK}/")).lstrip("."): v for v in model.weights
        }
        assert ours.keys() == weights.keys()
        for name, value in open_checkpoint(path).read_many(list(ours)).items():
            ours[name].assign(value)
    return model


def relative_error(outputs, expected):
    return np.abs(np.asarray(outputs, np.float32) - expected).max() / np.abs(expected).max()


def test_every_golden_is_a_case():
    names = json.loads((GOLDENS / "blocks" / "params.json").read_text())
    assert CASES.keys() == names.keys()


@pytest.mark.parametrize("case", CASES)
def test_golden(case, tmp_path):
    inputs, _, expected, params = golden(case)
    model = loaded(case, tmp_path)
    outputs = model(inputs, training=False).numpy()
    assert outputs.shape == expected.shape
    assert relative_error(outputs, expected) < 1e-5
    assert sum(int(np.prod(v.shape)) for v in model.trainable_weights) == params


@pytest.mark.parametrize("case", EXPORTED)
def test_batches_and_bfloat16(case, tmp_path):
    inputs, _, expected, _ = golden(case)
    inputs, expected = [x[:1] for x in inputs], expected[:1]
    batch = [np.concatenate([x, x[:, ::-1], x]) for x in inputs]
    model = loaded(case, tmp_path)
    outputs = model(batch, training=False).numpy()
    assert relative_error(outputs[[0]], expected) < 1e-5
    assert relative_error(outputs[[2]], expected) < 1e-5
    # Three decimal digits in each of a dozen operations.
    half = loaded(case, tmp_path, "mixed_bfloat16")
    outputs = half(batch, training=False)
    assert outputs.dtype == "bfloat16"
    assert relative_error(tf.cast(outputs[:1], tf.float32), expected) < 0.05


@functools.cache
def all_exported():
    """A function of all those blocks, variables that it has, and their inputs in one row."""
    with tempfile.TemporaryDirectory() as folder:
        models = {case: loaded(case, pathlib.Path(folder)) for case in EXPORTED}
    shapes = {case: [x.shape for x in golden(case)[0]] for case in EXPORTED}
    row = np.concatenate([x.ravel() for case in EXPORTED for x in golden(case)[0]])[None]

    # One input, as the formats' functions have it.
    @tf.function(input_signature=[tf.TensorSpec(row.shape, tf.float32, name="images")])
    def run(images):
        results, start = {}, 0
        for case, model in models.items():
            inputs = []
            for shape in shapes[case]:
                end = start + int(np.prod(shape))
                inputs.append(tf.reshape(images[0, start:end], shape))
                start = end
            name = case.replace("/", "_")
            results[name] = tf.identity(model(inputs, training=False), name=name)
        return results

    variables = [v.value for model in models.values() for v in model.weights]
    return run.get_concrete_function(), variables, row


# The contract writes SavedModels and LiteRT files of whole networks, and is fast.
@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "onnx", "tflite"])
def test_exports(form, tmp_path):
    """SavedModel, ONNX and LiteRT give the original's outputs."""
    function, variables, row = all_exported()
    path = str(tmp_path / f"blocks.{form}")
    if form == "saved_model":
        module = tf.Module()
        module.weights = variables
        tf.saved_model.save(module, path, signatures=function)
        results = tf.saved_model.load(path).signatures["serving_default"](images=tf.constant(row))
    else:
        module = {"onnx": onnx_format, "tflite": litert_format}[form]
        module.write(function, path, "{}")
        results = module.load(path, 1)[0](row)
    assert len(results) == len(EXPORTED)
    for case in EXPORTED:
        assert relative_error(results[case.replace("/", "_")], golden(case)[2]) < 1e-5, case


def test_layers_round_trip(tmp_path):
    """A saved model of them is the same model."""
    parts = [loaded(case, tmp_path) for case in EXPORTED if case != "conv/cbr_k3_d2_g2"]
    for part in parts:
        part.name = part.name.replace("functional", "part")
    inputs = [[keras.Input(x.shape[1:]) for x in part.inputs] for part in parts]
    outputs = [part(given) for part, given in zip(parts, inputs, strict=True)]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    values = [golden(case)[0] for case in EXPORTED if case != "conv/cbr_k3_d2_g2"]
    for ours, theirs in zip(model(values), again(values), strict=True):
        np.testing.assert_array_equal(ours, theirs)
