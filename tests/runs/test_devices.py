"""From flags to a strategy, and what the log says of it."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.runs import devices
from efficientvision.tasks.choice import get_config
from tests.programs import run_options


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(name, raising=False)


def connect(*arguments, hparams=None):
    config = get_config("efficientdet-d0", hparams)
    options = run_options(*arguments)
    if options.strategy is not None:
        config.override({"strategy": options.strategy})
    return devices.connect(options, config), config


def test_one_device(capsys):
    strategy, config = connect("--train_batch_size=8")
    assert strategy is tf.distribute.get_strategy()
    assert not config.sync_bn
    printed = capsys.readouterr().out
    assert printed == "Strategy none: 1 replica. A batch of 8 images, 8 on each replica.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--use_tpu=False", "--tpu=mine"], "`use_tpu=False` and `tpu=mine`"),
        (["--strategy=gpus", "--tpu=mine"], "`strategy=gpus` excludes `tpu`"),
        (["--strategy=gpus"], "needs a GPU"),
        (["--strategy=multi_worker"], "TF_CONFIG"),
        (["--cpu_replicas=2", "--strategy=none"], "`cpu_replicas=2`"),
        (["--cpu_replicas=2", "--use_tpu"], "`cpu_replicas=2`"),
    ],
)
def test_flags_that_exclude_each_other(arguments, says):
    with pytest.raises(UserError, match=says):
        connect(*arguments)


class Replicas:
    """As much of a strategy as `connect` asks for."""

    num_replicas_in_sync = 8
    cluster_resolver = None

    class extended:
        worker_devices = ("core",) * 8


@pytest.fixture
def tpu(monkeypatch):
    seen = []

    def build(name, **options):
        seen.append((name, options))
        return Replicas()

    monkeypatch.setattr(devices, "build_strategy", build)
    return seen


@pytest.mark.parametrize("ask", [["--tpu=mine", "--tpu_zone=z"], ["--use_tpu"]])
def test_a_tpu_synchronises_batch_norm(tpu, ask, capsys):
    _, config = connect(*ask, "--train_batch_size=64")
    name, options = tpu[0]
    assert name == "tpu"
    assert options["tpu"] == ("mine" if "--tpu=mine" in ask else None)
    assert config.sync_bn
    printed = capsys.readouterr().out
    assert printed == "Strategy tpu: 8 replicas. A batch of 64 images, 8 on each replica.\n"


def test_a_tpu_leaves_batch_norm_as_asked(tpu):
    _, config = connect("--tpu=mine", hparams="sync_bn=false")
    assert not config.sync_bn


def test_cores_are_counted_where_they_were_given(tpu):
    connect("--tpu=mine")
    connect("--tpu=mine", "--num_cores=8")
    with pytest.raises(UserError, match="`num_cores=16`"):
        connect("--tpu=mine", "--num_cores=16")


def test_evaluation_runs_on_one_machine(monkeypatch):
    workers = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(workers))
    assert devices.connect_for_evaluation(run_options()) is tf.distribute.get_strategy()
    with pytest.raises(UserError, match="one machine"):
        devices.connect_for_evaluation(run_options("--strategy=multi_worker"))


@pytest.mark.slow
def test_no_tpu_is_told_before_anything_else(repository, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "main.py",
            "--tpu=grpc://127.0.0.1:1",
            "--training_file_pattern=DATA_DIR/*.tfrecord",
            f"--model_dir={tmp_path / 'run'}",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert "No TPU named grpc://127.0.0.1:1 can be reached" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("gpus", [[], ["GPU:0", "GPU:1"]])
def test_every_gpu_grows(monkeypatch, gpus):
    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *given: asked.append(given)
    )
    devices.grow_gpu_memory()
    assert asked == [(gpu, True) for gpu in gpus]


def test_a_process_that_has_computed_goes_on(monkeypatch):
    def refuse(gpu, enable):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    devices.grow_gpu_memory()
