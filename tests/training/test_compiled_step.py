"""The whole training step compiled by XLA, as a TPU demands it: static shapes, the same losses."""

import json

import pytest

from tests.made_records import write_made_records
from tests.programs import in_a_process

SMALL = "image_size=64,max_level=5,num_classes=2,fpn_cell_repeats=1,box_class_repeats=1"
AUGMENTED = "autoaugment_policy=v0,grid_mask=true,mosaic_prob=0.5,mixup_prob=0.5"


def _pairs(tmp_path, hparams, steps):
    records = write_made_records(tmp_path / "made.tfrecord", 8)
    # What is compiled is the same; how well does not matter here.
    fast = "--xla_backend_optimization_level=0"
    program = ("tests/training/compiled_step.py", records, hparams, steps)
    done = in_a_process(*program, timeout=None, XLA_FLAGS=fast)
    assert done.code == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_losses_are_those_of_the_uncompiled_step(tmp_path):
    pairs = _pairs(tmp_path, f"{SMALL},{AUGMENTED}", 3)
    assert len(pairs) == 3
    for plain, compiled in pairs:
        for name in ("loss", "cls_loss", "box_loss", "det_loss", "reg_l2_loss"):
            assert compiled[name] == pytest.approx(plain[name], rel=1e-4), name


@pytest.mark.slow
def test_bfloat16_is_compiled(tmp_path):
    ((plain, compiled),) = _pairs(tmp_path, f"{SMALL},mixed_precision=true", 1)
    # bfloat16 has eight bits: XLA keeps more of them where it joins operations.
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=0.02)
