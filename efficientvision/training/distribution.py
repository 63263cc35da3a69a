"""Strategies by name, and what replicas must agree on."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from efficientvision.errors import UserError


def build_strategy(
    name: str | None, devices: Sequence[str] | None = None
) -> tf.distribute.Strategy:
    """The distribution strategy of a run.

    Args:
        name: None or "" (one device, chosen by TensorFlow) or "gpus" (every GPU of this machine,
            one replica each).
        devices: For "gpus", the devices to use instead, e.g. two logical CPUs in a test.

    Returns:
        The strategy.

    Raises:
        UserError: If the name is unknown, or there is no GPU for "gpus".
    """
    if not name:
        return tf.distribute.get_strategy()
    if name == "gpus":
        if devices is None and not tf.config.list_logical_devices("GPU"):
            raise UserError(
                "--strategy=gpus needs a GPU, and TensorFlow sees none on this machine; leave the "
                "flag out to train on the CPU."
            )
        return tf.distribute.MirroredStrategy(devices)
    raise UserError(f"strategy must be 'gpus' or empty; got {name!r}.")


def average_statistics(strategy: tf.distribute.Strategy, variables: Sequence) -> None:
    """Replaces each replica's moving statistics by their mean over the replicas.

    Without synchronised batch normalisation every replica keeps statistics of its own part of the
    batches; a checkpoint or an evaluation needs one set.

    Args:
        strategy: The run's strategy; with one replica nothing is done.
        variables: Keras variables, or TensorFlow variables, to average.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    for variable in variables:
        value = variable if isinstance(variable, tf.Variable) else variable.value
        copies = strategy.experimental_local_results(value)
        if copies[0].dtype.is_floating:
            variable.assign(sum(c.numpy() for c in copies) / len(copies))
