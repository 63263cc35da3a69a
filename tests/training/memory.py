"""Program: five rounds of 50 training steps and an evaluation; prints resident size after each.

Usage: memory.py RECORDS MODEL_DIR HPARAMS BATCH
Prints JSON: `rss`, bytes after each round; `traces`, how often each function was compiled.
"""

import ctypes
import gc
import json
import os
import sys

from efficientvision.api import build_from_config
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.training.callbacks import Callback
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.trainer import Trainer
from tests.depth import set_depth

ROUNDS = 5
STEPS = 50


def resident_size():
    """Bytes of this process that are in memory, free blocks given back first.

    Without that the figure swings by several percent from round to round with how much freed
    memory the C library happens to hold, which hides what is asked: whether something stays.
    """
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(records, model_dir, hparams, batch):
    set_depth(published=False)
    sizes = []

    class Watch(Callback):
        def epoch_ended(self, step, epoch, values):
            sizes.append(resident_size())

    config = get_config("efficientdet-d0", hparams)
    trainer = Trainer(
        EfficientDetTrainingTask(config, training_files=records, evaluation_files=records),
        lambda: build_from_config(config),
        TrainingPlan(
            int(batch), STEPS * int(batch), ROUNDS, model_dir=model_dir, eval_batch_size=int(batch)
        ),
        1e-3,
        TrainingRecipe(
            optimizer="adam", weight_decay=4e-5, clip_norm=10.0, moving_average_decay=0.99
        ),
        [Watch()],
    )
    trainer.run(evaluate_epochs=True)
    traces = [trainer.train_step.traces, trainer.evaluator.traces]
    print(json.dumps({"rss": sizes, "traces": traces}))


if __name__ == "__main__":
    main(*sys.argv[1:])
