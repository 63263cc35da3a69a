"""Runs that evaluate, killed again and again: in the end nothing of them is missing or wrong."""

import collections
import json
import re

import pytest

from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.tables import read_table
from tests.made_records import write_made_records
from tests.programs import in_a_process

HPARAMS = (
    "image_size=64,min_level=3,max_level=3,num_classes=2,survival_prob=0.8,fpn_num_filters=8,"
    "moving_average_decay=0.9,learning_rate=0.5,early_stopping_patience=2"
)
# The program's evaluations are best at step 8, so that early stopping ends a run of 16 at step 12.
BEST, LAST = 8, 12
# 34 kills: before, inside and after each kind of write, in training and in evaluation.
CHAINS = {
    "checkpoints": "before:ckpt-2.npz:1,inside:ckpt-2.npz:1,after:ckpt-2.npz:1,evaluating:1",
    "their index": "inside:checkpoint.json:1,before:last:1,inside:last:1",
    "evaluations": "evaluating:2,evaluated:1,inside:best_eval.txt:1",
    "exchange": "before:archive:1,before:backup:1,after:backup:1",
    "archive": "after:archive:2,inside:best_objective.txt:1,inside:best:1,before:results.csv:1",
    "tables": "inside:results.csv:2,after:results.csv:1,inside:losses.csv:1",
    "report": "inside:report.html:1,inside:per_class.csv:1,inside:evaluation.json:1",
    "start": "inside:config.yaml:1,inside:command.txt:1,inside:run.json:1,trained:3",
    "last evaluation": "evaluating:11,evaluating:1,evaluated:1,before:results.csv:1",
    "in between": "trained:5,evaluating:3,inside:train_batch.jpg:1",
}


def _run(folder, points):
    """How each start ended, by its number, and all that was printed."""
    records = folder.parent / "made.tfrecord"
    if not records.exists():
        write_made_records(records, 4)
    done = in_a_process(
        *("tests/training/killed_chain.py", points, "--mode=train_and_eval"),
        *("--model_name=efficientdet-d0", f"--model_dir={folder}"),
        *(f"--train_file_pattern={records}", f"--val_file_pattern={records}"),
        *("--train_batch_size=2", "--eval_batch_size=2", "--num_examples_per_epoch=4"),
        *("--num_epochs=8", "--preflight=false", f"--hparams={HPARAMS}", "--deterministic"),
        "--iterations_per_loop=1",
        timeout=None,
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return [int(code) for code in re.findall(r"^== .* ended with (\S+)$", done.stdout, re.M)], done


def _arrays(folder):
    checkpoint = read_checkpoint(folder)
    return checkpoint.step, {
        f"{group}/{name}": value.tobytes()
        for group in ("weights", "ema", "optimizer")
        for name, value in getattr(checkpoint, group).items()
    }


def _results(folder):
    rows = read_table(folder, "results.csv")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """A run that nobody killed."""
    folder = tmp_path_factory.mktemp("chains") / "control"
    codes, done = _run(folder, "never")
    assert codes == [0], done.stderr[-3000:]
    assert [row["step"] for row in _results(folder)] == ["2", "4", "6", "8", "10", "12"]
    assert (read_checkpoint(folder).step, read_checkpoint(folder / "archive").step) == (LAST, BEST)
    return folder


def test_the_chains_have_34_kills():
    points = [point for chain in CHAINS.values() for point in chain.split(",")]
    assert (len(CHAINS), len(points)) == (10, 34)
    kinds = collections.Counter(point.partition(":")[0] for point in points)
    assert kinds["inside"] == 15 and kinds["evaluating"] + kinds["evaluated"] == 7


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_of_kills_loses_nothing(control, chain):
    folder = control.parent / chain
    codes, done = _run(folder, CHAINS[chain] + ",never")
    kills = CHAINS[chain].count(",") + 1
    assert codes == [-9] * kills + [0], done.stdout[-3000:]
    assert _results(folder) == _results(control)
    assert _arrays(folder) == _arrays(control)
    assert _arrays(folder / "archive") == _arrays(control / "archive")
    assert (folder / "best").read_text() == f"archive/ckpt-{BEST}.npz\n"
    assert (folder / "best_objective.txt").read_text() == "0.500000\n"
    best = json.loads((folder / "archive" / "best_eval.txt").read_text())
    assert (best["step"], best["AP"]) == (BEST, 0.5)
    assert sum(int(row["steps"]) for row in read_table(folder, "losses.csv")) == LAST
    assert not list(folder.rglob(".*")) and not (folder / "run.lock").exists()
    assert {path.name for path in control.iterdir()} == {path.name for path in folder.iterdir()}
