"""Program: training steps compiled by XLA beside the same steps without it.

Prints JSON: a list of pairs (losses without XLA, losses with it). Both steps of a pair begin with
the same weights and see the same batch, drawn with augmentation from the records.
Usage: compiled_step.py RECORDS HPARAMS STEPS
"""

import json
import sys

import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep
from tests.depth import set_depth

BATCH = 2


def main(records, hparams, steps):
    set_depth(published=False)
    config = get_config("efficientdet-d0", hparams)
    task = EfficientDetTrainingTask(config, training_files=records)
    task.create_variables()
    state = TrainingState(
        build_from_config(config),
        build_optimizer("sgd"),
        tf.distribute.get_strategy(),
        learning_rate=0.01,
        moving_average_decay=0.99,
    )
    plain, compiled = (
        TrainStep(task, state, weight_decay=4e-5, clip_norm=10.0, use_xla=use_xla)
        for use_xla in (False, True)
    )
    pairs = []
    for batch in task.training_dataset(BATCH, start_step=0).take(int(steps)):
        before = state.snapshot()
        losses = []
        for step in (plain, compiled):
            state.restore(before)
            losses.append(step(iter(tf.data.Dataset.from_tensors(batch)), 1))
        pairs.append(losses)
    print(json.dumps(pairs))


if __name__ == "__main__":
    main(*sys.argv[1:])
