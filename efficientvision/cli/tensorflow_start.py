"""How TensorFlow is started: without remarks on its own build, with XLA where it is asked for."""

import contextlib
import glob
import os


def load_tensorflow_quietly() -> None:
    """Imports TensorFlow and looks for devices with the process's stderr closed for that time.

    Its C++ part writes to the file descriptor before any log level holds. Where there is an NVIDIA
    device, nothing is hidden: what TensorFlow says of drivers then matters.
    """
    if glob.glob("/dev/nvidia*") or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _stderr_closed():
        import tensorflow as tf

        tf.config.list_physical_devices()


def compile_clusters() -> None:
    """Before TensorFlow starts: lets XLA compile what it can of any graph, on a CPU too.

    For graphs with parts that XLA does not know, such as the decoding of photos.
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
