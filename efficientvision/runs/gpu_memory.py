"""Limits how much GPU memory TensorFlow reserves."""

import contextlib

import tensorflow as tf


def grow_gpu_memory() -> None:
    """Lets TensorFlow allocate GPU memory as needed, instead of nearly all of it at once.

    Other programs can then share the GPU, and `nvidia-smi` shows what a run really needs. Call it
    before TensorFlow has used a device. TF_FORCE_GPU_ALLOW_GROWTH=false in the environment takes
    precedence.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Too late: this process has already used its GPUs.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
