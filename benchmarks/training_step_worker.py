"""A process of `training_step.py` that trains with one set of hyper-parameters on request.

Reads a number of steps per line, and answers each line, after a first answer when it is ready, by
one line of JSON: `seconds` per step, `peak` bytes of memory so far; or `skipped` with the reason.
"""

import json
import os
import sys
import tempfile
import time

from yardstick import peak_bytes, yardstick

from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.errors import UserError

BOXES = 8
YARDSTICK_CALLS = 5  # For each step of the others, which take much longer.


def main(hparams, model_name, image_size, batch_size, threads):
    """Answers lines of stdin until the end of input.

    Args:
        hparams: hyper-parameters of the training; None: run the yardstick instead.
        model_name: name of the detector.
        image_size: side of the input in pixels.
        batch_size: images per step.
        threads: threads of TensorFlow.
    """
    # Stdout is for the answers only, not for output of the library.
    answers, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
    load_tensorflow_quietly()
    import tensorflow as tf

    from efficientvision.runs.devices import grow_gpu_memory

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    grow_gpu_memory()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if hparams is None:
                run = yardstick_run(image_size)
            else:
                run = training_run(folder, hparams, model_name, image_size, batch_size)
        except UserError as error:
            print(json.dumps({"skipped": error.sentence}), file=answers, flush=True)
            return
        run(2)  # Compiles.
        print(json.dumps({"peak": peak_memory()}), file=answers, flush=True)
        for line in sys.stdin:
            answer = {"seconds": run(int(line)), "peak": peak_memory()}
            print(json.dumps(answer), file=answers, flush=True)


def yardstick_run(image_size):
    """Returns a function of the number of steps that measures seconds per yardstick call."""
    call = yardstick(image_size)

    def run(steps):
        start = time.perf_counter()
        for _ in range(steps * YARDSTICK_CALLS):
            call()
        return (time.perf_counter() - start) / (steps * YARDSTICK_CALLS)

    return run


def training_run(folder, hparams, model_name, image_size, batch_size):
    """Returns a function of the number of steps that measures seconds per step of the trainer."""
    import tensorflow as tf

    from efficientvision.configs.run_options import RunOptions
    from efficientvision.runs import devices, run_setup

    options = RunOptions(
        strategy="none",
        model_name=model_name,
        model_dir=str(folder),
        train_batch_size=batch_size,
        hparams=f"image_size={image_size},{hparams}".rstrip(","),
    )
    config = run_setup.training_config(options)
    strategy = devices.connect(options, config)
    plan = run_setup.training_plan(options, config)
    task = run_setup.build_task(options, config, {})
    trainer = run_setup.build_trainer(
        options, config, task, strategy, plan, run_setup.learning_rates(config, plan)
    )
    batches = iter(tf.data.Dataset.from_tensors(noise_batch(config, batch_size)).repeat())

    def run(steps):
        start = time.perf_counter()
        trainer.train_step(batches, steps)
        return (time.perf_counter() - start) / steps

    return run


def noise_batch(config, batch_size):
    """A batch in the format of the input pipeline: images of noise with a few boxes each."""
    import numpy as np

    random = np.random.default_rng(0)
    height, width = config.image_hw
    boxes = np.full((batch_size, config.max_instances_per_image, 4), -1.0, np.float32)
    classes = np.full((batch_size, config.max_instances_per_image), -1, np.int32)
    top_left = random.uniform(0.0, 0.6, (batch_size, BOXES, 2))
    corners = np.concatenate([top_left, top_left + 0.3], axis=-1)
    boxes[:, :BOXES] = corners * [height, width, height, width]
    classes[:, :BOXES] = random.integers(1, config.num_classes + 1, (batch_size, BOXES))
    return {
        "images": random.integers(0, 256, (batch_size, height, width, 3), dtype=np.uint8),
        "valid_hw": np.tile(np.int32([height, width]), (batch_size, 1)),
        "gt_boxes_yxyx": boxes,
        "gt_classes": classes,
    }


def peak_memory():
    """Peak memory in bytes of the GPU, or of this process if there is none."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_bytes()


if __name__ == "__main__":
    # TensorFlow's own output is hidden unless the environment asks for it.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    main(**json.loads(sys.argv[1]))
