"""Eight photographs are learned by heart: data, loss, optimizer and metrics agree."""

import json

import pytest

from efficientvision.training.run_log import read_results
from tests.programs import dataset_program, train_program

# No augmentation; a step sees all eight photographs. Anchors as small as their platelets at 192.
HPARAMS = (
    "hparams/bccd.yaml,jitter_min=1.0,jitter_max=1.0,input_rand_hflip=false,input_rand_vflip=false,"
    "image_size=192,anchor_scale=1.4,iou_loss_type=None,lr_warmup_epoch=20,moving_average_decay=0"
)
STEPS = 200


@pytest.mark.slow
def test_eight_blood_cell_photographs(repository, shared_dir, tmp_path):
    devkit = shared_dir / "data" / "bccd" / "VOCdevkit"
    if not devkit.is_dir():
        pytest.skip(f"needs the BCCD photographs in {devkit}")
    year = next(path.name for path in devkit.iterdir() if (path / "Annotations").is_dir())

    done = dataset_program(
        "create_pascal_tfrecord.py",
        f"--data_dir={devkit}",
        f"--year={year}",
        "--set=train",
        f"--output_path={tmp_path / 'eight'}",
        "--num_images=8",
        "--num_shards=1",
        folder=repository,
    )
    assert done.code == 0, done.stderr[-3000:]
    done = train_program(
        "--mode=train",
        "--model_name=efficientdet-lite0",
        f"--model_dir={tmp_path / 'run'}",
        f"--train_file_pattern={tmp_path}/eight*.tfrecord",
        f"--val_file_pattern={tmp_path}/eight*.tfrecord",
        "--train_batch_size=8",
        "--eval_batch_size=8",
        "--num_examples_per_epoch=8",
        f"--num_epochs={STEPS}",
        "--eval_after_train",
        f"--hparams={repository}/{HPARAMS}",
    )
    assert done.code == 0, done.stderr[-3000:]
    row = read_results(tmp_path / "run")[-1]
    assert int(row["step"]) == STEPS
    assert float(row["AP50"]) > 0.9, json.dumps(row)
