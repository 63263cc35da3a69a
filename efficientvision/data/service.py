"""The tf.data service: other machines decode and augment for hosts that are too slow."""

from __future__ import annotations

import socket

import tensorflow as tf

from efficientvision.errors import UserError

_SCHEME = "grpc://"
_PATIENCE_SECONDS = 10.0


def check_service(address: str) -> None:
    """Checks that a dispatcher listens at an address.

    TensorFlow itself would retry for an hour without a message.

    Args:
        address: Address of the form ``grpc://host:port``.

    Raises:
        UserError: The address is malformed, or nothing answers there.
    """
    host, colon, port = address.removeprefix(_SCHEME).rpartition(":")
    if not (address.startswith(_SCHEME) and colon and host and port.isdigit()):
        raise UserError(
            f"`tf_data_service={address}` is not an address of a tf.data service: it has the form "
            "grpc://host:port."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"No tf.data service answers at {address} ({error}): start its dispatcher and its "
            "workers, or remove `tf_data_service`."
        ) from error


def through_service(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Produces a data set on the workers of a tf.data service.

    The source of training's endless sequence is the number of the epoch. These numbers are handed
    out to the workers one by one ("dynamic" sharding), so each epoch is read by one worker and
    every photo occurs once in it; the epochs of several workers mix. If every worker got the whole
    sequence, all of them would produce the same examples.

    Args:
        dataset: Batches. Its files must have the same paths on the service's machines.
        address: ``grpc://host:port`` of the dispatcher.
    """
    return dataset.apply(
        tf.data.experimental.service.distribute(
            processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC, service=address
        )
    )
