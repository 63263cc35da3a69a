"""A small run of every task, trained by `main.py` once for all tests; and the data of it."""

from __future__ import annotations

import contextlib
import json
import pathlib
import typing
import warnings
from unittest import mock

import tensorflow as tf

from efficientvision.report import observer
from efficientvision.report.build import build_report
from tests.made_class_records import made_class_record, write_class_records
from tests.made_mask_records import write_records
from tests.made_records import write_made_records
from tests.programs import Done, train_program
from tests.store import stored

STEPS = 4  # Two epochs of two.


class Case(typing.NamedTuple):
    """A kind of run.

    Attributes:
        flags: name the network.
        hparams: of every command that trains.
        network: hyper-parameters that only the first command gives: the run keeps them.
        names: of the classes.
        metric: which the run is archived by.
    """

    flags: tuple[str, ...]
    hparams: str
    network: str
    names: dict[int, str]
    metric: str


_EDGE = "--model_name=shufflenetv2_s_0.1"
_RATE = "optimizer=adam,learning_rate=1e-3,lr_decay_method=cosine"
CASES = {
    "classification": Case(
        (_EDGE,), f"image_size=32,{_RATE}", "", {1: "blue", 2: "green", 3: "red"}, "top1"
    ),
    "segmentation": Case(
        ("--task=segmentation", _EDGE),
        "image_size=64x32,learning_rate=1e-3,lr_decay_method=cosine",
        ",class_weights=data,auxiliary=true",
        {0: "sky", 1: "sea", 2: "sand", 3: "wood"},
        "miou",
    ),
    "ssd": Case(
        ("--task=detection", _EDGE),
        f"image_size=64,{_RATE},prior_min_scale=0.1,prior_max_scale=0.9",
        "",
        {1: "odd", 2: "even"},
        "AP",
    ),
    "efficientdet": Case(
        # The others count their records.
        ("--model_name=efficientdet-d0", "--num_examples_per_epoch=4", "--eval_samples=3"),
        "image_size=64,max_level=5,bn_momentum=0.9,moving_average_decay=0.9",
        ",fpn_cell_repeats=1,box_class_repeats=1,fpn_num_filters=16,num_classes=2",
        {1: "odd", 2: "even"},
        "AP",
    ),
}


def write_task_records(path: pathlib.Path, task: str, count: int) -> None:
    """Writes records of the task's classes."""
    if task == "classification":
        write_class_records(path, (made_class_record(index) for index in range(count)))
    elif task == "segmentation":
        write_records(path, count, ((40, 56), (48, 40)))
    else:
        write_made_records(path, count)


def data_folder(task: str) -> pathlib.Path:
    """What `--data_dir` takes: four records to train on, three to evaluate on, and names."""

    def write(folder: pathlib.Path) -> None:
        for part, count in (("train", 4), ("val", 3)):
            write_task_records(folder / f"{part}-00000-of-00001.tfrecord", task, count)
        (folder / "labels.json").write_text(json.dumps(CASES[task].names))

    return stored(f"data_{task}", write)


@contextlib.contextmanager
def eagerly():
    """Functions of TensorFlow run as Python, which one or two small steps need not trace first."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # It leaves out the functions of tf.data, as it should.
            warnings.filterwarnings("ignore", ".*does not apply to tf.data functions")
            yield
    finally:
        tf.config.run_functions_eagerly(before)


def train(task: str, run: pathlib.Path, *flags: object, more: str = "", epochs: int = 1) -> Done:
    """`main.py` on the task's data; a later flag takes the place of an earlier one.

    Args:
        task: of `CASES`.
        run: the run's folder.
        flags: further ones; `--mode=train` unless they name another.
        more: further hyper-parameters, each with a comma before it.
        epochs: of the whole run.
    """
    return train_program(
        "--mode=train",
        *CASES[task].flags,
        f"--model_dir={run}",
        f"--data_dir={data_folder(task)}",
        "--train_batch_size=2",
        "--eval_batch_size=2",
        f"--num_epochs={epochs}",
        f"--hparams={CASES[task].hparams}{more}",
        *flags,
    )


def trained_run(task: str) -> tuple[pathlib.Path, str]:
    """The folder of a run of two epochs, which nobody may write to, and what it printed.

    The classifier's is compiled as users' are, and has its page after every epoch; of the others
    this would only be seen once more.
    """

    def make(folder: pathlib.Path) -> None:
        run, more = folder / "run", CASES[task].network
        if task == "classification":
            done = train(task, run, "--mode=train_and_eval", more=more, epochs=2)
        else:
            with eagerly(), mock.patch.object(observer, "build_report"):
                done = train(task, run, "--mode=train_and_eval", more=more, epochs=2)
            build_report(run)
        assert done.code == 0, done.stderr[-3000:]
        (folder / "printed.txt").write_text(done.stdout)

    folder = stored(f"run_{task}", make)
    return folder / "run", (folder / "printed.txt").read_text()
