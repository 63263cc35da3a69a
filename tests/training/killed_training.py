"""Program: `main.py` with a tiny network, which kills itself with SIGKILL at a chosen point.

Usage: killed_training.py POINT FLAG..., where POINT is one of
  never
  trained:N      when step N is trained (and its checkpoint, if it has one, not yet written)
  writing:N      in the middle of the bytes of that checkpoint
  interrupted:N  when step N is trained, by SIGTERM instead, which asks it to end
"""

import io
import json
import os
import signal
import sys
import time

import keras
import numpy as np

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags
from efficientvision.layers.mbconv import MBConv
from efficientvision.layers.normalization import BatchNorm
from efficientvision.runs import run_setup
from efficientvision.training.train_step import TrainStep


def tiny_detector(config):
    """All that has a state: convolutions, batch norm, drop-connect; one level of the pyramid."""
    channels, width = config.anchors_per_location, config.fpn_num_filters
    images = keras.Input((*config.image_hw, 3))
    x = keras.layers.Conv2D(width, 8, 8, padding="same", name="stem")(images)
    x = BatchNorm(momentum=0.9, name="bn")(x)
    keep = config.survival_prob
    x = MBConv(3, 1, width, width, 2, se_filters=2, survival_prob=keep, name="block")(x)
    classes = keras.layers.Conv2D(channels * config.num_classes, 1, name="class")(x)
    boxes = keras.layers.Conv2D(channels * 4, 1, name="box")(x)
    return keras.Model(images, ([classes], [boxes]), name="tiny")


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_when_trained(number):
    train = TrainStep.__call__

    def call(self, *args):
        losses = train(self, *args)
        if self._state.step >= number:
            _die()
        return losses

    TrainStep.__call__ = call


def kill_when_interrupted(number):
    train = TrainStep.__call__

    def call(self, *args):
        losses = train(self, *args)
        if self._state.step == number:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)  # Another thread takes note of it.
        return losses

    TrainStep.__call__ = call


def kill_when_writing(number):
    savez = np.savez

    def call(file, **arrays):
        if json.loads(str(arrays["meta"]))["step"] == number:
            content = io.BytesIO()
            savez(content, **arrays)
            file.write(content.getvalue()[: content.tell() // 2])
            file.flush()
            _die()
        savez(file, **arrays)

    np.savez = call


def main(argv):
    from efficientvision.cli import train

    return train.main(argv)


if __name__ == "__main__":
    run_setup.build_from_config = tiny_detector
    point, _, step = sys.argv.pop(1).partition(":")
    if point != "never":
        globals()[f"kill_when_{point}"](int(step))
    define_train_flags()
    run_main(main)
