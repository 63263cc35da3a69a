"""Free memory of this machine's devices, and an estimate of what a training step needs."""

from __future__ import annotations

import sys

import psutil
import tensorflow as tf

from efficientvision import files

# Limits of a container (cgroup 2), of which the machine's own numbers know nothing.
_LIMIT, _USED = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"
_STAT = "/sys/fs/cgroup/memory.stat"


def device_kind(strategy: tf.distribute.Strategy, *, on_cpu: bool = False) -> str:
    """Returns "CPU", "GPU" or "TPU": the devices on which a strategy trains.

    Args:
        strategy: The run's strategy.
        on_cpu: Whether its replicas share a CPU, whatever else the machine has.
    """
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "TPU"
    return "GPU" if not on_cpu and tf.config.list_physical_devices("GPU") else "CPU"


def free_bytes(kind: str, replicas: int) -> float | None:
    """Returns the free memory for each replica in bytes; None if it cannot be found out.

    Args:
        kind: "CPU", "GPU" or "TPU".
        replicas: Number of replicas on this machine; they share the memory of a CPU.
    """
    if kind == "GPU":
        return _free_on_gpus()
    if kind == "TPU":
        return None
    return min(float(psutil.virtual_memory().available), _left_in_container()) / replicas


def peak_bytes() -> int:
    """Returns the largest amount of memory that this process has used, in bytes."""
    try:
        import resource
    except ImportError:  # Windows.
        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes.


def _left_in_container() -> float:
    try:
        stat = dict(line.split() for line in files.read_text(_STAT).splitlines())
        cached = float(stat["active_file"]) + float(stat["inactive_file"])  # Given back on demand.
        return float(files.read_text(_LIMIT)) - float(files.read_text(_USED)) + cached
    except (OSError, ValueError, KeyError):  # No limit: the file is missing, or says "max".
        return float("inf")


def _free_on_gpus() -> float | None:
    """The memory that TensorFlow may use on the GPU with the least."""
    from tensorflow.python.client import device_lib

    limits = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    return float(min(limits)) if limits else None
