"""Program: `main.py` on records of which those with an object of class 3 are poisoned.

The reader drops boxes that are not finite, so the poison is put behind it: what the network is to
predict for such an object is not a number.
Usage: poisoned_training.py FLAG...
"""

import tensorflow as tf

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags
from efficientvision.tasks.detection import DetectionTask

POISONED_CLASS = 3


def main(argv):
    from efficientvision.cli import train

    prepare = DetectionTask.prepare

    def poisoned(self, batch):
        batch = prepare(self, batch)
        bad = tf.equal(batch["class_targets"], POISONED_CLASS - 1)[..., tf.newaxis]
        return batch | {"box_targets": tf.where(bad, float("nan"), batch["box_targets"])}

    DetectionTask.prepare = poisoned
    return train.main(argv)


if __name__ == "__main__":
    define_train_flags()
    run_main(main)
