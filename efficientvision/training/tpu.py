"""Connects to a TPU, or fails fast with one clear sentence."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from efficientvision.errors import UserError

# Name lookup asks Google's metadata server, which takes minutes to fail on some networks.
LOOKUP_SECONDS = 30.0
CONNECT_SECONDS = 10.0


def tpu_strategy(
    name: str | None, zone: str | None = None, project: str | None = None
) -> tf.distribute.Strategy:
    """Connects to a TPU and starts it.

    Args:
        name: Name of a Cloud TPU, or its address (`grpc://10.0.0.2:8470`); "local" or None: the
            TPU of this machine (a TPU VM).
        zone, project: Where the TPU is; None means the same as this machine.

    Raises:
        UserError: There is no such TPU, or it does not answer.
    """
    name = name or "local"
    try:
        resolver = _within(LOOKUP_SECONDS, lambda: _resolve(name, zone, project))
        for worker in resolver.cluster_spec().as_dict().get("worker", [])[:1]:
            host, _, port = worker.rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(_sentence(name, zone, project, error)) from error


def check_cores(strategy: tf.distribute.Strategy, num_cores: int) -> None:
    """Raises UserError if the TPU does not have `num_cores` cores."""
    found = strategy.num_replicas_in_sync
    if found != num_cores:
        raise UserError(
            f"`num_cores={num_cores}`, but this TPU has {found} core{'s' if found > 1 else ''}: "
            "leave `num_cores` out to train on all of them."
        )


def _resolve(name: str, zone: str | None, project: str | None):
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name, zone, project)
    resolver.cluster_spec()
    return resolver


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """Returns or raises what `work()` does; TimeoutError if it takes longer."""
    outcomes: queue.Queue = queue.Queue()

    def run() -> None:
        try:
            outcomes.put((work(), None))
        except Exception as error:
            outcomes.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcomes.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds") from None
    if error is not None:
        raise error
    return value


def _sentence(name: str, zone: str | None, project: str | None, error: Exception) -> str:
    if name == "local":
        return (
            "There is no TPU on this machine: name one with `tpu=NAME` or `tpu=grpc://HOST:8470`, "
            "or leave `tpu`, `use_tpu` and `strategy=tpu` out to train on GPUs or the CPU."
        )
    reason = " ".join(str(error).split())[:160].rstrip(". ")
    place = "".join(
        f" {word} {value}" for word, value in (("in zone", zone), ("of project", project)) if value
    )
    return (
        f"No TPU named {name}{place} can be reached ({reason}): check `tpu`, `tpu_zone` and "
        "`gcp_project`, or leave them out to train on GPUs or the CPU."
    )
