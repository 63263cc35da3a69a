"""What every network of this library keeps to, whatever its family and its heads.

The test of a new network is its `Network`, a few arguments, for which it gets every check (see
`tests/models/test_contract.py`). To build a network and to trace it is what costs. So each is built
once for all checks of a process, once more in bfloat16, and once more from its file, in one new
process for all of them; only its exports are traced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.api import build_model
from efficientvision.exports import litert_format
from efficientvision.layers.normalization import BatchNorm
from tests.filled_segmenter import filled_model, noise
from tests.programs import in_a_process
from tests.store import stored

HW = (64, 96)


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network that the contract holds for.

    Attributes:
        model: its name.
        outputs: shapes of its outputs without the batch, in the order of `keras.tree.flatten`.
        parameters: how many it has, one unit a stage deep: (trainable, all).
        half: a layer that computes in bfloat16 where mixed precision is asked for.
        task: as `build_model` takes it.
        options: hyper-parameters beside the image size.
        unused: pattern of the paths of variables that no output depends on.
    """

    model: str
    outputs: tuple[tuple[int, ...], ...]
    parameters: tuple[int, int]
    half: str
    task: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unused: str = "$^"

    def build(self, **more: Any) -> keras.Model:
        """The network, with the same weights each time, no two layers of which do the same."""
        return _lively(build_model(self.model, self.task, image_size=HW, **self.options, **more))


@dataclasses.dataclass
class Measured:
    """A network, and what it was seen to do with a batch of two.

    Attributes:
        statistics: values of the weights that do not train, after it ran in training.
        gradients: of the trainable weights.
    """

    model: keras.Model
    images: np.ndarray
    outputs: list[np.ndarray]
    statistics: list[np.ndarray]
    gradients: list[tf.Tensor | None]


def _lively(model: keras.Model) -> keras.Model:
    """Fills it so that all its parts count: sums keep their size, fusion drops no input."""
    filled_model(model)
    rng = np.random.default_rng(1)
    for variable in model.weights:
        shape = variable.shape
        if variable.name.startswith("WSM"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif variable.name in ("depthwise_kernel", "pointwise_kernel"):
            fan_in = np.prod(shape[:2] if variable.name == "depthwise_kernel" else shape[:3])
            variable.assign(rng.standard_normal(shape) * np.sqrt(2 / fan_in))
    return model


def check_network(network: Network) -> None:
    """Outputs, parameters, gradients."""
    found = measured(network)
    _check_outputs(network, found)
    _check_training(network, found)


@functools.cache
def measured(network: Network) -> Measured:
    """The network's measurements, which the process has made once."""
    model, images = network.build(), noise(HW, batch=2)
    start = model.get_weights()
    outputs = [np.asarray(x) for x in flat(model(images))]
    model(images, training=True)
    statistics = [variable.numpy() for variable in model.non_trainable_weights]
    model.set_weights(start)
    with deterministic(model):
        gradients = gradients_of(model, images)
    return Measured(model, images, outputs, statistics, gradients)


def _check_outputs(network: Network, found: Measured) -> None:
    assert [x.shape for x in found.outputs] == [(2, *shape) for shape in network.outputs]
    assert [x.shape for x in flat(found.model.output)] == [(None, *s) for s in network.outputs]
    for output in found.outputs:
        assert output.dtype == "float32" and np.isfinite(output).all()
        assert np.ptp(output) > 0 and not np.array_equal(output[0], output[1])
    counts = tuple(
        sum(int(np.prod(v.shape)) for v in variables)
        for variables in (found.model.trainable_weights, found.model.weights)
    )
    assert counts == network.parameters


def _check_training(network: Network, found: Measured) -> None:
    model = found.model
    still = [
        variable.path
        for variable, value in zip(model.non_trainable_weights, found.statistics, strict=True)
        if np.array_equal(variable.numpy(), value)
    ]
    unused = []
    for variable, gradient in zip(model.trainable_weights, found.gradients, strict=True):
        if gradient is None:
            unused.append(variable.path)
        else:
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.path
    # Neither more nor fewer than are meant to.
    paths = [variable.path for variable in model.weights]
    meant = {path for path in paths if re.search(network.unused, path)}
    assert {*unused, *still} == meant


def check_bfloat16(network: Network) -> None:
    """In mixed precision weights and outputs stay float32; what comes out is nearly the same."""
    found = measured(network)
    detector = network.model.startswith("efficientdet")
    model = network.build(
        **({"mixed_precision": True} if detector else {"dtype": "mixed_bfloat16"})
    )
    assert model.get_layer(network.half).compute_dtype == "bfloat16"
    assert {variable.dtype for variable in model.weights} == {"float32"}
    for output, expected in zip(flat(model(found.images)), found.outputs, strict=True):
        assert keras.backend.standardize_dtype(output.dtype) == "float32"
        # Eight bits, through many layers that nobody trained.
        difference = np.sqrt(np.mean((np.asarray(output) - expected) ** 2))
        assert 0 < difference < 0.2 * np.std(expected)


def check_exports(network: Network) -> None:
    """A SavedModel and a LiteRT file of one image give its outputs."""
    found = measured(network)
    image = found.images[:1]
    names = [f"output{index}" for index in range(len(found.outputs))]

    @tf.function(input_signature=[tf.TensorSpec(image.shape, tf.float32, name="images")])
    def run(images):
        outputs = flat(found.model(images, training=False))
        return {name: tf.identity(x, name=name) for name, x in zip(names, outputs, strict=True)}

    function = run.get_concrete_function()
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.weights = [variable.value for variable in found.model.weights]
        tf.saved_model.save(module, f"{folder}/saved", signatures=function)
        saved = tf.saved_model.load(f"{folder}/saved").signatures["serving_default"]
        litert_format.write(function, f"{folder}/model.tflite", "{}")
        runner, _ = litert_format.load(f"{folder}/model.tflite", threads=1)
        for results in (saved(images=tf.constant(image)), runner(image)):
            for name, expected in zip(names, found.outputs, strict=True):
                error = np.abs(np.asarray(results[name]) - expected[:1]).max()
                assert error < 1e-5 * np.abs(expected[:1]).max(), name


def check_in_a_new_process(
    name: str, networks: Mapping[str, Network], replicated: Collection[str]
) -> None:
    """After a plain `import efficientvision`, the network's file is the network.

    Args:
        name: the network's.
        networks: all that the process reads.
        replicated: those of them that it also trains on two replicas, see `check_replicas`.
    """
    found = measured(networks[name])
    arrays = _read_again(name, networks, replicated)
    assert list(arrays["paths"]) == [variable.path for variable in found.model.weights]
    assert json.loads(str(arrays["configs"])) == configs(found.model)
    for index, expected in enumerate(found.outputs):
        np.testing.assert_array_equal(arrays[f"output{index}"], expected)


def check_replicas(name: str, networks: Mapping[str, Network], replicated: Collection[str]) -> None:
    """Two replicas with an image each have the gradients of one with both.

    Args: as `check_in_a_new_process`.
    """
    found = measured(networks[name])
    arrays = _read_again(name, networks, replicated)
    for index, (variable, expected) in enumerate(
        zip(found.model.trainable_weights, found.gradients, strict=True)
    ):
        first, second = arrays[f"gradient{index}"]
        np.testing.assert_array_equal(first, second)
        if expected is None:
            assert not first.any(), variable.path
        else:
            error = np.abs(first - expected).max()
            assert error < 1e-4 * np.abs(expected).max(), variable.path


def _read_again(
    name: str, networks: Mapping[str, Network], replicated: Collection[str]
) -> dict[str, np.ndarray]:
    """What `tests/read_networks.py` wrote of a network's file; one process reads all of them."""
    files = {key: _written(key, network) for key, network in networks.items()}

    def run(folder: pathlib.Path) -> None:
        networks = [f"{key}={file}={int(key in replicated)}" for key, file in files.items()]
        done = in_a_process("tests/read_networks.py", folder, *networks, timeout=None)
        assert done.code == 0, done.stderr[-3000:]

    folder = stored("read_again_" + "_".join(sorted(replicated)), run)
    with np.load(folder / f"{name}.npz") as arrays:
        assert str(arrays["error"]) == ""
        return dict(arrays)


def _written(name: str, network: Network) -> pathlib.Path:
    def write(folder: pathlib.Path) -> None:
        measured(network).model.save(folder / "model.keras")

    return stored(f"network_{name}", write) / "model.keras"


def configs(model: keras.Model) -> list[dict[str, Any]]:
    """Those of all its layers, as a file has them."""
    return json.loads(json.dumps([layer.get_config() for layer in model.layers], default=str))


def flat(outputs: Any) -> list:
    """The outputs of a network of any structure."""
    return keras.tree.flatten(outputs)


def gradients_of(model: keras.Model, images: Any, share: float = 1.0) -> list[tf.Tensor | None]:
    """Gradients of the trainable weights, of a loss that every output has a part in."""
    variables = [variable.value for variable in model.trainable_weights]
    with tf.GradientTape() as tape:
        outputs = flat(model(images, training=True))
        loss = share * tf.add_n([tf.reduce_mean(tf.square(x)) for x in outputs])
    return tape.gradient(loss, variables)


@contextlib.contextmanager
def deterministic(model: keras.Model) -> Iterator[None]:
    """Batch norms frozen and nothing dropped: an image's gradients do not depend on the others."""
    before = []
    for layer in model._flatten_layers():
        for kind, attribute, value in ((BatchNorm, "frozen", True), (object, "rate", 0.0)):
            if isinstance(layer, kind) and hasattr(layer, attribute):
                before.append((layer, attribute, getattr(layer, attribute)))
                setattr(layer, attribute, value)
    try:
        yield
    finally:
        for layer, attribute, value in before:
            setattr(layer, attribute, value)


def check_learning_in_bfloat16(network: Network) -> None:
    """Losses fall, and all that has a gradient in float32 has one."""
    model, images = network.build(dtype="mixed_bfloat16"), noise(HW, batch=8)
    optimizer = keras.optimizers.Adam(1e-3)
    losses = []
    for _ in range(6):
        losses.append(sum(float(np.mean(np.square(x))) for x in flat(model(images, training=True))))
        gradients = gradients_of(model, images)
        pairs = zip(gradients, model.trainable_weights, strict=True)
        optimizer.apply_gradients([(g, v) for g, v in pairs if g is not None])
    expected = [gradient is None for gradient in measured(network).gradients]
    assert [gradient is None for gradient in gradients] == expected
    assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)
    assert losses[-1] < losses[0]
