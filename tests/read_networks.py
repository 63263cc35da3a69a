"""Program: what networks of `tests/contract.py` do that a new process loads from their files.

Usage: read_networks.py FOLDER NAME=FILE=(0 | 1)...
Writes FOLDER/NAME.npz: paths of the weights, configurations of the layers and outputs of a batch of
two; with 1 also gradients of two replicas with an image each. Or the error.
"""

import contextlib
import json
import sys

import efficientvision  # noqa: F401

# isort: split
import keras

# Of all that is imported here, this alone registers the layers.
_REGISTERED = {*keras.saving.get_custom_objects()}

# ruff: noqa: E402
import numpy as np
import tensorflow as tf

from efficientvision.training.distribution import build_strategy
from tests.contract import HW, configs, deterministic, flat, gradients_of
from tests.depth import set_depth
from tests.filled_segmenter import noise
from tests.quicker import be_quicker

_LATE = {*keras.saving.get_custom_objects()} - _REGISTERED
assert not _LATE, f"a plain import of efficientvision does not register {_LATE}"


def read(path, strategy):
    """The network's arrays; with a strategy also its gradients."""
    images = noise(HW, batch=2)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = keras.saving.load_model(path)
    arrays = {
        "paths": [variable.path for variable in model.weights],
        "configs": json.dumps(configs(model)),
        **{f"output{i}": x for i, x in enumerate(flat(model(images)))},
    }
    if strategy is None:
        return arrays

    def summed_gradients(values):
        gradients = [
            tf.zeros(variable.shape) if gradient is None else gradient
            for gradient, variable in zip(
                gradients_of(model, values, share=0.5), model.trainable_weights, strict=True
            )
        ]
        return tf.distribute.get_replica_context().all_reduce("sum", gradients)

    parts = strategy.experimental_distribute_values_from_function(
        lambda context: images[context.replica_id_in_sync_group :][:1]
    )
    with deterministic(model):
        gradients = strategy.run(summed_gradients, [parts])
    for index, gradient in enumerate(gradients):
        arrays[f"gradient{index}"] = strategy.experimental_local_results(gradient)
    return arrays


def main(folder, *networks):
    two = build_strategy("gpus", cpu_replicas=2)
    set_depth(published=False)
    be_quicker()
    for text in networks:
        name, path, replicated = text.split("=")
        try:
            arrays = {"error": "", **read(path, two if replicated == "1" else None)}
        except Exception as error:  # It is that network's own, and its tests say it.
            arrays = {"error": f"{type(error).__name__}: {error}"}
        np.savez(f"{folder}/{name}.npz", **{key: np.asarray(x) for key, x in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
