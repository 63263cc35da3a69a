"""Program: five rounds of 50 training steps and an evaluation; prints resident size after each.

Usage: memory.py RECORDS MODEL_DIR HPARAMS BATCH
Prints JSON: `rss`, bytes after each round; `traces`, how often each function was compiled.
"""

import json
import os
import sys

import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.configs import get_config
from efficientvision.tasks.detection import DetectionTask
from efficientvision.training.run_log import RunLog
from efficientvision.training.trainer import Trainer, TrainingPlan

ROUNDS = 5
STEPS = 50


def resident_size():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(records, model_dir, hparams, batch):
    sizes = []
    write_row = RunLog.row

    def row(self, *arguments):
        write_row(self, *arguments)
        sizes.append(resident_size())

    RunLog.row = row
    config = get_config("efficientdet-d0", hparams)
    trainer = Trainer(
        DetectionTask(config, training_files=records, evaluation_files=records),
        lambda: build_from_config(config),
        plan=TrainingPlan(int(batch), STEPS * int(batch), ROUNDS),
        schedule=1e-3,
        model_dir=model_dir,
        strategy=tf.distribute.get_strategy(),
        optimizer={"name": "adam"},
        weight_decay=4e-5,
        clip_norm=10.0,
        moving_average_decay=0.99,
        eval_batch_size=int(batch),
    )
    trainer.run(evaluate_epochs=True)
    traces = [trainer.train_step.traces, trainer.evaluator.traces]
    print(json.dumps({"rss": sizes, "traces": traces}))


if __name__ == "__main__":
    main(*sys.argv[1:])
