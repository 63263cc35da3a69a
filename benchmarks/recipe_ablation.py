"""Compares the ingredients of a detector's training recipe at equal minutes, over several seeds.

  python benchmarks/recipe_ablation.py DATA
  python benchmarks/recipe_ablation.py DATA --minutes=10 --seeds=3 --starts=random,imagenet \\
      --variants=published,modern --folder=ablation

DATA is a folder of labelled photos, split into train and val. Every variant trains as
`efficientvision train MODEL DATA` would, with the options of its row below; the first column of the
table is its name. `modern -x` is recipe=modern without the ingredient x, `published +x` the
published recipe with it. First, the variants take turns to train for a few steps, which gives the
seconds of a step of each; then each trains as many steps as fit into --minutes, so that a dear
ingredient has fewer of them. One training runs at a time; its metrics are those after the last
step, of the averaged weights. Results are kept in FOLDER/results.csv: repeat the command to go on
after an interruption, or with more seeds or variants.
"""

import csv
import dataclasses
import os
import shutil
import statistics
import subprocess
import sys

from absl import flags

from efficientvision.cli import run_main
from efficientvision.errors import UserError

FLAGS = flags.FLAGS
METRICS = ("AP", "AP50", "AP75")
FIELDS = ("start", "variant", "seed", "steps", "seconds_per_step", *METRICS)
PUBLISHED, MODERN = "published", "modern"
# What an ingredient of recipe=modern is without it.
WITHOUT = {
    "assignment": {
        "assignment": "iou",
        "class_loss": "focal",
        "gamma": 1.5,
        "box_loss_weight": 50,
        "iou_loss_weight": 1,
    },
    "quality": {"class_loss": "focal", "gamma": 1.5},
    "mosaic": {"mosaic_prob": 0},
    "mixup": {"mixup_prob": 0},
    "mix_end": {"mix_end": 1},
    "scale": {"jitter_min": 0.8, "jitter_max": 1.2},
    "colour": {"hsv_jitter": 0},
    "average": {"moving_average_decay": 0},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A way to train.

    Attributes:
        start: `random` or what `start_from` takes.
        variant: Its name in the table.
        options: Options and hyper-parameters by name.
    """

    start: str
    variant: str
    options: dict


def rows():
    """The ways to train, in the order of the table."""
    variants = FLAGS.variants or [PUBLISHED, MODERN, *(f"{MODERN} -{name}" for name in WITHOUT)]
    return [Row(start, name, _options(name)) for start in FLAGS.starts for name in variants]


def _options(variant):
    base, _, changes = variant.partition(" ")
    if base not in (PUBLISHED, MODERN):
        raise UserError(f"Unknown variant {variant!r}: it begins with {PUBLISHED} or {MODERN}.")
    options = {"recipe": base}
    for change in filter(None, changes.split(" ")):
        if change.startswith("-") and change[1:] in WITHOUT and base == MODERN:
            options |= WITHOUT[change[1:]]
        elif change.startswith("+") and "=" in change:
            name, value = change[1:].split("=", 1)
            options[name] = value
        else:
            raise UserError(
                f"Unknown change {change!r} of the variant {variant!r}: expected +NAME=VALUE, or "
                f"with {MODERN} one of {', '.join(f'-{name}' for name in WITHOUT)}."
            )
    return options


def train(row, data, folder, seed, steps):
    """Trains for some steps in a process of its own, and evaluates at the end."""
    options = {
        "model_dir": folder,
        "seed": seed,
        "train_batch_size": FLAGS.batch_size,
        "num_examples_per_epoch": steps * FLAGS.batch_size,
        "num_epochs": 1,
        "start_from": "none" if row.start == "random" else row.start,
        "iterations_per_loop": 10,
        **row.options,
    }
    command = [sys.executable, "-m", "efficientvision", "train", FLAGS.model, data]
    command += [f"--{name}={value}" for name, value in options.items()]
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}.log", "w") as log:
        if subprocess.call(command, stdout=log, stderr=subprocess.STDOUT):
            raise UserError(f"{row.variant} failed: see {folder}.log.")


def seconds_per_step(folder):
    """Median over a training's calls; the first two compile and warm up."""
    with open(os.path.join(folder, "losses.csv")) as file:
        calls = list(csv.DictReader(file))[2:]
    return statistics.median(float(call["seconds"]) / int(call["steps"]) for call in calls)


def measured(ways, data):
    """Seconds of a step of each way to train, which take turns."""
    folder = os.path.join(FLAGS.folder, "speed")
    seconds = {row: [] for row in map(_key, ways)}
    for turn in range(FLAGS.rounds):
        for row in ways:
            path = os.path.join(folder, _file_name(row, turn))
            if not os.path.exists(os.path.join(path, "results.csv")):
                shutil.rmtree(path, ignore_errors=True)
                train(row, data, path, 0, FLAGS.speed_steps)
            seconds[_key(row)].append(seconds_per_step(path))
    return {key: statistics.median(values) for key, values in seconds.items()}


def _key(row):
    return row.start, row.variant


def _file_name(row, number):
    words = f"{os.path.basename(row.start)} {row.variant} {number}"
    return "".join(c if c.isalnum() or c in "-+." else "_" for c in words)


def finished():
    """The results so far, by start, variant and seed."""
    path = os.path.join(FLAGS.folder, "results.csv")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return {(r["start"], r["variant"], int(r["seed"])): r for r in csv.DictReader(file)}


def result(row, folder, seed, steps, seconds):
    """The row of `results.csv` for a finished training."""
    with open(os.path.join(folder, "results.csv")) as file:
        last = list(csv.DictReader(file))[-1]
    values = {"start": row.start, "variant": row.variant, "seed": seed, "steps": steps}
    values["seconds_per_step"] = f"{seconds:.4f}"
    return values | {name: last[name] for name in METRICS}


def write(results):
    """Writes `results.csv` anew."""
    path = os.path.join(FLAGS.folder, "results.csv")
    with open(path + ".tmp", "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(results.values())
    os.replace(path + ".tmp", path)


def print_table(ways, results):
    """Prints mean and sample standard deviation over the seeds, as Markdown."""
    print(f"| start | recipe | steps | s / step | {' | '.join(METRICS)} | seeds |")
    print("|---|---|---|---|" + "---|" * len(METRICS) + "---|")
    for row in ways:
        own = [r for (start, name, _), r in results.items() if (start, name) == _key(row)]
        if not own:
            continue
        cells = [_spread([100 * float(r[name]) for r in own]) for name in METRICS]
        step = statistics.mean(float(r["seconds_per_step"]) for r in own)
        start = os.path.basename(row.start)
        print(
            f"| {start} | {row.variant} | {own[0]['steps']} | {step:.2f} | {' | '.join(cells)} "
            f"| {len(own)} |"
        )


def _spread(values):
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def main(argv):
    """Trains what is not finished, and prints the table."""
    if len(argv) != 2:
        raise UserError("expected: recipe_ablation.py DATA [--name=value ...].")
    data = os.path.abspath(argv[1])
    ways, results = rows(), finished()
    seconds = measured(ways, data)
    for seed in range(FLAGS.seeds):
        for row in ways:
            if (*_key(row), seed) in results:
                continue
            steps = max(1, round(60 * FLAGS.minutes / seconds[_key(row)]))
            folder = os.path.join(FLAGS.folder, _file_name(row, seed))
            train(row, data, folder, seed, steps)
            results[(*_key(row), seed)] = result(row, folder, seed, steps, seconds[_key(row)])
            write(results)
            print_table(ways, results)
    print_table(ways, results)


if __name__ == "__main__":
    flags.DEFINE_string("model", "efficientdet-lite0", "model")
    flags.DEFINE_string("folder", "ablation", "folder of the trainings and of results.csv")
    flags.DEFINE_float("minutes", 6.0, "minutes of training of each, without its evaluation")
    flags.DEFINE_integer("seeds", 3, "trainings of each, with seeds 0, 1, ...")
    flags.DEFINE_integer("batch_size", 8, "images per step")
    flags.DEFINE_list("starts", ["random", "imagenet"], "random, or what start_from takes")
    flags.DEFINE_list("variants", None, "rows of the table; by default all")
    flags.DEFINE_integer("rounds", 2, "turns in which the time of a step is measured")
    flags.DEFINE_integer("speed_steps", 60, "steps of each turn")
    run_main(main)
