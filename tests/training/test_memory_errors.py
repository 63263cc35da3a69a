"""Errors that say that memory ran out, real ones and in the words of accelerators."""

import errno

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.memory_errors import OutOfMemory, is_out_of_memory, memory_errors

HUGE = 2**44  # Floats: 64 TiB, which no machine gives.
MESSAGE = (
    f"OOM when allocating tensor with shape[{HUGE}] and type float on "
    "/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu"
)


class Greedy(keras.layers.Layer):
    """Keras replaces the error of a layer by one with a longer message."""

    def call(self, inputs):
        return tf.zeros([HUGE]) + inputs


class Refused(keras.layers.Layer):
    """As `Greedy`, but at once: TensorFlow tries for ten seconds."""

    def call(self, inputs):
        raise tf.errors.ResourceExhaustedError(None, None, MESSAGE)


def _greedy_layer():
    Greedy()(tf.zeros([1]))


def _refused_layer():
    Refused()(tf.zeros([1]))


def _while_tracing():
    """AutoGraph replaces the error by a StagingError."""

    @tf.function
    def function():
        return np.zeros(2**50)

    function()


def _in_a_data_set():
    def examples():
        yield np.zeros(2**50)

    spec = tf.TensorSpec([None], tf.float64)
    list(tf.data.Dataset.from_generator(examples, output_signature=spec))


def _compiled_by_xla():
    @tf.function(jit_compile=True)
    def function():
        return tf.random.stateless_normal([2**21, 2**21], (0, 0))

    function()


@pytest.mark.parametrize(
    ("run", "wanted", "device"),
    [
        (_refused_layer, 4 * HUGE, "CPU:0"),
        (_while_tracing, 2**53, None),
        (_in_a_data_set, 2**53, None),
        pytest.param(_greedy_layer, 4 * HUGE, "CPU:0", marks=pytest.mark.slow),
        pytest.param(_compiled_by_xla, 4 * 2**42, None, marks=pytest.mark.slow),
    ],
)
def test_real_errors(run, wanted, device):
    with pytest.raises(OutOfMemory) as caught, memory_errors("training"):
        run()
    assert (caught.value.during, caught.value.wanted, caught.value.device) == (
        "training",
        wanted,
        device,
    )


@pytest.mark.parametrize(
    ("error", "wanted", "device"),
    [
        (
            tf.errors.ResourceExhaustedError(
                None,
                None,
                "OOM when allocating tensor with shape[8,96,256,256] and type half on "
                "/job:worker/replica:0/task:1/device:GPU:3 by allocator GPU_3_bfc",
            ),
            8 * 96 * 256 * 256 * 2,
            "GPU:3",
        ),
        (
            tf.errors.InternalError(
                None,
                None,
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
            ),
            2**34,
            None,
        ),
        (
            tf.errors.ResourceExhaustedError(
                None,
                None,
                "XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used "
                "20.71G of 15.48G hbm.",
            ),
            None,
            None,
        ),
        (tf.errors.InternalError(None, None, "Dst tensor is not initialized."), None, None),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), None, None),
        (MemoryError(), None, None),
    ],
)
def test_the_words_of_accelerators_and_systems(error, wanted, device):
    assert is_out_of_memory(error)
    found = OutOfMemory("evaluation", error)
    assert (found.wanted, found.device) == (wanted, device)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "run/events; No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "train-00000; Too many open files"),
        tf.errors.InternalError(None, None, "Blas GEMM launch failed"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("no memory of that"),
    ],
)
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, memory_errors("training"):
        raise error
    assert caught.value is error


def test_an_answer_to_lacking_memory_passes():
    with pytest.raises(UserError, match="^answered$"), memory_errors("training"):
        try:
            raise MemoryError
        except MemoryError as error:
            raise UserError("answered") from error


def test_the_innermost_says_when():
    @memory_errors("evaluation")
    def evaluate():
        raise MemoryError

    with pytest.raises(OutOfMemory) as caught, memory_errors("training"):
        evaluate()
    assert caught.value.during == "evaluation"
