"""Measures time and memory of a training step in several variants, compared with a yardstick.

  python benchmarks/training_step.py
  python benchmarks/training_step.py --model_name=efficientdet-d1 --batch_size=2 \\
      --variants=float32,mixed_precision=true+grad_checkpoint=true

The step is that of main.py (forward, backward, clipping, optimizer, weight averages) on a batch of
noise in memory; the input pipeline has its own benchmark. Each variant trains in its own process,
so that its peak memory can be measured. The processes alternate: every round times all of them, one
at a time, so that disturbances affect all alike. The yardstick is
keras.applications.EfficientNetB0(include_top=False) on one image of the same size: the column
`/ yardstick` is comparable between machines. Peak memory is that of the whole process (VmHWM),
including TensorFlow itself, or that of the GPU if there is one.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys

from absl import flags
from tqdm import tqdm

from efficientvision.cli import run_main
from efficientvision.errors import UserError

FLAGS = flags.FLAGS
PLAIN = "float32"
YARDSTICK = "yardstick"
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training_step_worker.py")


def main(argv):
    """Prints a table of times and memory."""
    del argv
    for name in ("image_size", "batch_size", "steps", "rounds", "threads"):
        if FLAGS[name].value < 1:
            raise UserError(f"--{name} must be at least 1, got {FLAGS[name].value}.")
    variants = dict.fromkeys(FLAGS.variants)
    rows = {YARDSTICK: None} | {
        name: "" if name == PLAIN else name.replace("+", ",") for name in variants
    }
    with contextlib.ExitStack() as stack:
        workers = start(rows, stack)
        seconds, peaks = measure(workers)
    print_table(seconds, peaks)


def start(rows, stack):
    """Starts one process per row, in sequence; variants that cannot train are skipped."""
    workers = {}
    for name, hparams in tqdm(rows.items(), desc="compiling", unit="variant"):
        options = {"hparams": hparams, "model_name": FLAGS.model_name}
        options |= {key: FLAGS[key].value for key in ("image_size", "batch_size", "threads")}
        worker = subprocess.Popen(
            [sys.executable, WORKER, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(worker.wait)
        stack.callback(worker.terminate)
        answer = listen(name, worker)
        if "skipped" in answer:
            tqdm.write(f"Skipped {name}: {answer['skipped']}")
        else:
            workers[name] = worker
    return workers


def measure(workers):
    """Measures seconds per step in every round, and peak memory in bytes, by row."""
    seconds = {name: [] for name in workers}
    peaks = {}
    turns = [name for _ in range(FLAGS.rounds) for name in workers]
    for name in (bar := tqdm(turns, unit="turn")):
        bar.set_description(name)
        workers[name].stdin.write(f"{FLAGS.steps}\n")
        workers[name].stdin.flush()
        answer = listen(name, workers[name])
        seconds[name].append(answer["seconds"])
        peaks[name] = answer["peak"]
    return seconds, peaks


def listen(name, worker):
    """Reads the next answer of a process."""
    line = worker.stdout.readline()
    if not line:
        code = worker.wait()
        why = "was killed, maybe out of memory" if code == -9 else f"ended with code {code}"
        raise UserError(f"The process of {name} {why}; try a smaller --batch_size.")
    return json.loads(line)


def print_table(seconds, peaks):
    """Prints median, range, images per second, both ratios and memory of every row."""
    print(
        f"{FLAGS.model_name}, {FLAGS.image_size}x{FLAGS.image_size}, batch {FLAGS.batch_size}, "
        f"{FLAGS.threads} threads, {FLAGS.rounds} rounds of {FLAGS.steps} steps in turn"
    )
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    width = max(map(len, medians))
    print(
        f"{'':<{width}}{'s/step':>9}{'range':>14}{'images/s':>10}{'/ yardstick':>13}"
        f"{'/ float32':>11}{'peak GiB':>10}{'/ float32':>11}"
    )
    for name, median in medians.items():
        images = 1 if name == YARDSTICK else FLAGS.batch_size
        spread = f"{min(seconds[name]):.2f}-{max(seconds[name]):.2f}"
        times, memory = "", ""
        if PLAIN in medians and name != YARDSTICK:
            times = f"{median / medians[PLAIN]:.2f}"
            memory = f"{peaks[name] / peaks[PLAIN]:.2f}"
        print(
            f"{name:<{width}}{median:>9.3f}{spread:>14}{images / median:>10.2f}"
            f"{median / medians[YARDSTICK]:>13.1f}{times:>11}"
            f"{peaks[name] / 2**30:>10.2f}{memory:>11}"
        )


if __name__ == "__main__":
    flags.DEFINE_string("model_name", "efficientdet-d0", "detector")
    flags.DEFINE_integer("image_size", 512, "side of the network's input, pixels")
    flags.DEFINE_integer("batch_size", 4, "images per step")
    flags.DEFINE_integer("steps", 2, "steps per round")
    flags.DEFINE_integer("rounds", 5, "rounds; the median is printed")
    flags.DEFINE_integer("threads", 2, "threads of TensorFlow")
    flags.DEFINE_list(
        "variants",
        [PLAIN, "grad_checkpoint=true", "gradient_accumulation=2", "mixed_precision=true"],
        "variants to compare, separated by commas: float32, or hyper-parameters joined by +, such "
        "as grad_checkpoint=true+mixed_precision=true",
    )
    run_main(main)
