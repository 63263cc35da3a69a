"""Memory growth is asked for, for every GPU, and never too late to start."""

import pytest
import tensorflow as tf

from efficientvision.runs.gpu_memory import grow_gpu_memory


@pytest.mark.parametrize("gpus", [[], ["GPU:0", "GPU:1"]])
def test_every_gpu_grows(monkeypatch, gpus):
    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *given: asked.append(given)
    )
    grow_gpu_memory()
    assert asked == [(gpu, True) for gpu in gpus]


def test_a_process_that_has_computed_goes_on(monkeypatch):
    def refuse(gpu, enable):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    grow_gpu_memory()
