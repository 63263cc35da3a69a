"""Training with `grad_checkpoint` against training without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.backbones import efficientnet
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep
from tests.training.replicas import pictures, reader

# Six blocks on three levels, three of them with stochastic depth, as the heads have it.
STAGES = ((1, 3, 1, 1, 16), (1, 3, 2, 6, 24), (1, 5, 2, 6, 40))
OPTIONS = {
    "image_size": 64,
    "num_classes": 3,
    "backbone_name": "efficientnet-b1",
    "max_level": 5,
    "fpn_num_filters": 16,
    "fpn_cell_repeats": 1,
    "box_class_repeats": 2,
    "survival_prob": 0.7,
}


def train(grad_checkpoint, start):
    """Two steps; losses by step, the weights after them, their paths."""
    config = get_config("efficientdet-d0", OPTIONS, {"grad_checkpoint": grad_checkpoint})
    model = build_from_config(config)
    start = start or [v.numpy() for v in model.weights]
    for variable, value in zip(model.weights, start, strict=True):
        variable.assign(value)
    strategy = tf.distribute.get_strategy()
    state = TrainingState(model, build_optimizer("sgd"), strategy, learning_rate=0.05)
    step = TrainStep(EfficientDetTrainingTask(config), state, weight_decay=1e-4, clip_norm=0.5)
    batches = iter(reader(pictures())(4, start_step=0, input_shard=(0, 1)))
    losses = [step(batches, 1) for _ in range(2)]
    return losses, {v.path: v.numpy() for v in model.weights}, start


@pytest.mark.slow
def test_same_losses_gradients_weights_and_statistics(monkeypatch):
    monkeypatch.setattr(efficientnet, "_STAGES", STAGES)
    runs = []
    recompute_grad = tf.recompute_grad
    monkeypatch.setattr(tf, "recompute_grad", lambda f: runs.append(f) or recompute_grad(f))
    keras.utils.set_random_seed(0)
    losses, weights, start = train(False, None)
    assert not runs
    ours, our_weights, _ = train(True, start)
    # Six blocks; four fusion nodes; two heads on three levels.
    assert len(runs) == 6 + 4 + 2 * 3
    for expected, values in zip(losses, ours, strict=True):
        for name, value in values.items():
            assert value == pytest.approx(expected[name], rel=1e-5), name
    assert weights.keys() == our_weights.keys()
    moved = {"weights": 0.0, "statistics": 0.0}
    for (path, value), before in zip(weights.items(), start, strict=True):
        np.testing.assert_allclose(our_weights[path], value, rtol=1e-5, atol=1e-6, err_msg=path)
        kind = "statistics" if "/moving_" in path else "weights"
        moved[kind] = max(moved[kind], float(np.abs(value - before).max()))
    assert min(moved.values()) > 1e-3, moved
