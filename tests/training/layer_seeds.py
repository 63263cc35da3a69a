"""Program: what a dropout layer draws at some steps, on two logical devices.

Prints JSON: for each step asked for, the random state of each layer of each replica after it.
Usage: layer_seeds.py STEP...
"""

import json
import sys

import keras
import tensorflow as tf

from efficientvision.training.distribution import build_strategy
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState


def main(*steps):
    strategy = build_strategy("gpus", cpu_replicas=2)
    with strategy.scope():
        layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)]
        model = keras.Sequential([*layers, keras.layers.Dropout(0.3)])
        state = TrainingState(model, build_optimizer("sgd"), strategy, learning_rate=0.1, seed=7)
    seeds = [v for v in model.variables if v.shape == (2,)]
    inputs = tf.ones([2, 4])

    @tf.function
    def run():
        def step():
            state.seed_layers()
            return model(inputs, training=True)

        return strategy.run(step)

    drawn = []
    for step in steps:
        state.optimizer.iterations.assign(int(step))
        run()
        copies = [strategy.experimental_local_results(v.value) for v in seeds]
        drawn.append([[copy.numpy().tolist() for copy in c] for c in copies])
    print(json.dumps(drawn))


if __name__ == "__main__":
    main(*sys.argv[1:])
