"""Starts TensorFlow without its log messages, and with XLA on request."""

import contextlib
import glob
import os


def load_tensorflow_quietly(*, warnings: bool = True) -> None:
    """Imports TensorFlow and lists the devices while stderr is redirected.

    Its C++ part writes to the file descriptor before any log level applies. With an NVIDIA device
    nothing is hidden, because its messages about drivers matter.

    Args:
        warnings: Whether its Python part may warn, e.g. of its own deprecated functions.
    """
    if not (glob.glob("/dev/nvidia*") or "TF_CPP_MIN_LOG_LEVEL" in os.environ):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with _stderr_closed():
            import tensorflow as tf

            tf.config.list_physical_devices()
    if not warnings:
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")


def compile_clusters() -> None:
    """Before TensorFlow starts: lets XLA compile the supported parts of any graph, on a CPU too.

    For graphs with operations that XLA does not support, such as decoding photos.
    """
    flags = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_auto_jit=2 --tf_xla_cpu_global_jit".strip()


@contextlib.contextmanager
def _stderr_closed():
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
