"""A run's folder: one training at a time, and complete again where somebody deletes it."""

import json
import os
import shutil

from efficientvision.configs.run_options import RunOptions
from efficientvision.runs import run_setup
from efficientvision.runs.run_folder import FolderKeeper
from efficientvision.tasks.choice import get_config
from efficientvision.training.run_lock import RunLock
from tests.made_records import write_made_records
from tests.programs import train_program


def _train(folder, records, *more):
    return train_program(
        *("--mode=train", "--model_name=efficientdet-d0", f"--model_dir={folder}"),
        *(f"--train_file_pattern={records}", "--train_batch_size=2", *more),
    )


def test_a_second_training_ends_with_one_sentence(tmp_path):
    records = write_made_records(tmp_path / "made.tfrecord", 2)
    with RunLock(tmp_path / "run") as lock:
        (tmp_path / "run" / "ckpt-1.npz").touch()
        done = _train(tmp_path / "run", records)
        assert done.code == 1
        assert f"Another training runs in {lock.folder} (process {os.getpid()} on" in done.stderr
        assert "Traceback" not in done.stderr
        # To look at the data disturbs nobody.
        done = _train(tmp_path / "run", records, "--preflight=only", "--hparams=num_classes=2")
        assert done.code == 0, done.stderr
    assert os.listdir(tmp_path / "run") == ["ckpt-1.npz"]


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    records = write_made_records(tmp_path / "made.tfrecord", 2)
    done = _train(tmp_path / "run", records, "--hparams=num_classes=1")
    assert done.code == 1 and not (tmp_path / "run").exists()


def test_a_deleted_folder_is_said_once_and_complete_again(tmp_path, capsys):
    folder = tmp_path / "run"
    with RunLock(folder) as lock:

        def write():
            (folder / "config.yaml").write_text("name: x\n")
            (folder / "labels.json").write_text(json.dumps({"1": "a"}))

        keeper = FolderKeeper(lock, write)
        keeper.write()
        keeper.saving(5)
        assert not capsys.readouterr().out
        shutil.rmtree(folder)
        keeper.saving(10)
        keeper.saving(15)
        said = capsys.readouterr().out
        assert said.count("Warning") == 1
        assert f"{folder} or its lock was deleted" in said and "step 10" in said
    assert set(os.listdir(folder)) == {"config.yaml", "labels.json"}


def test_what_a_run_goes_on_with_otherwise_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_setup, "latest_checkpoint", lambda _: "ckpt-1.npz")
    config = get_config("shufflenetv2_s_0.1", "image_size=32x32,optimizer=adam")
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    for hparams, says in (
        ("image_size=32,optimizer=adam", ""),
        (
            "image_size=64,optimizer=sgd",
            "optimizer is sgd from now on; this run began with optimizer=adam.\n"
            "image_size is 64 from now on; this run began with image_size=32x32.\n",
        ),
    ):
        options = RunOptions(
            model_name="shufflenetv2_s_0.1", model_dir=str(tmp_path), hparams=hparams
        )
        run_setup.training_config(options)
        assert capsys.readouterr().out == says
