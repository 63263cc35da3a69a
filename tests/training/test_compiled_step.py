"""The whole training step compiled by XLA, as a TPU demands it: static shapes, the same losses."""

import json
import os
import subprocess
import sys

import pytest

from tests.made_records import write_made_records

PROGRAM = os.path.join(os.path.dirname(__file__), "compiled_step.py")
SMALL = "image_size=64,max_level=5,num_classes=2,fpn_cell_repeats=1,box_class_repeats=1"
AUGMENTED = "autoaugment_policy=v0,grid_mask=true,mosaic_prob=0.5,mixup_prob=0.5"


def _pairs(repository, tmp_path, hparams, steps):
    records = write_made_records(tmp_path / "made.tfrecord", 8)
    done = subprocess.run(
        [sys.executable, PROGRAM, records, hparams, str(steps)],
        cwd=repository,
        # What is compiled is the same; how well does not matter here.
        env={
            **os.environ,
            "PYTHONPATH": str(repository),
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_losses_are_those_of_the_uncompiled_step(repository, tmp_path):
    pairs = _pairs(repository, tmp_path, f"{SMALL},{AUGMENTED}", 3)
    assert len(pairs) == 3
    for plain, compiled in pairs:
        for name in ("loss", "cls_loss", "box_loss", "det_loss", "reg_l2_loss"):
            assert compiled[name] == pytest.approx(plain[name], rel=1e-4), name


@pytest.mark.slow
def test_bfloat16_is_compiled(repository, tmp_path):
    ((plain, compiled),) = _pairs(repository, tmp_path, f"{SMALL},mixed_precision=true", 1)
    # bfloat16 has eight bits: XLA keeps more of them where it joins operations.
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=0.02)
