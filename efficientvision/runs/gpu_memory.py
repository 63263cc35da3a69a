"""How much of a GPU's memory TensorFlow takes."""

import contextlib

import tensorflow as tf


def grow_gpu_memory() -> None:
    """Lets TensorFlow take a GPU's memory as it needs it, instead of nearly all of it at once.

    Other programs can then use the same GPU, and `nvidia-smi` shows what a run really needs. Call
    it before TensorFlow has used a device. TF_FORCE_GPU_ALLOW_GROWTH=false in the environment goes
    before.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Too late in a process that has computed before: its GPUs stay as they are.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
