"""`main.py` on one replica, two replicas and two workers: the same numbers; a worker is killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from efficientvision.training.checkpoints import list_checkpoints, read_checkpoint, step_of
from tests.made_records import write_made_records

STEPS = 5
BATCH = 4
SMALL = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1,num_classes=2"
HPARAMS = f"{SMALL},anchor_scale=2,bn_momentum=0.9,moving_average_decay=0.9,learning_rate=0.01"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    # Noise of the whole range: on dark pictures one replica differs by the tolerance from itself
    # with other kernels (oneDNN's or Eigen's).
    path = tmp_path_factory.mktemp("records") / "made.tfrecord"
    return write_made_records(path, STEPS * BATCH, noise=256)


class Runs:
    """Starts `main.py` on made records."""

    def __init__(self, repository, records):
        self._repository = repository
        self._records = records
        self._processes = []

    def start(self, model_dir, *options, hparams=HPARAMS, epochs=1, worker=None):
        """A process in a group of its own; `worker`: (its number, the ports of all)."""
        environment = dict(os.environ)
        if worker is not None:
            addresses = [f"127.0.0.1:{port}" for port in worker[1]]
            task = {"type": "worker", "index": worker[0]}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        process = subprocess.Popen(
            [
                sys.executable,
                "main.py",
                "--mode=train",
                "--model_name=efficientdet-d0",
                f"--model_dir={model_dir}",
                f"--train_file_pattern={self._records}",
                f"--train_batch_size={BATCH}",
                f"--num_examples_per_epoch={STEPS * BATCH}",
                f"--num_epochs={epochs}",
                f"--hparams={hparams}",
                *options,
            ],
            cwd=self._repository,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def stop(self):
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


@pytest.fixture
def runs(repository, records):
    runs = Runs(repository, records)
    yield runs
    runs.stop()


def free_ports(count=2):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def finish(*processes):
    """The outputs of processes that end well."""
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    return outputs


def assert_same(folder, other):
    one, two = read_checkpoint(folder), read_checkpoint(other)
    assert one.step == two.step == STEPS
    for group in ("weights", "ema", "optimizer"):
        first, second = getattr(one, group), getattr(two, group)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_replicas_and_workers_train_as_one_does(runs, tmp_path):
    # Without levels 6 and 7, which are single locations: see `tests/training/replicas.py`.
    hparams = f"{HPARAMS},sync_bn=true,max_level=5"
    (printed,) = finish(runs.start(tmp_path / "one", hparams=hparams))
    assert f"Strategy none: 1 replica. A batch of {BATCH} images" in printed
    (printed,) = finish(runs.start(tmp_path / "two", "--cpu_replicas=2", hparams=hparams))
    assert "Strategy gpus: 2 replicas. A batch of 4 images, 2 on each replica" in printed
    ports = free_ports()
    outputs = finish(
        *[runs.start(tmp_path / "workers", hparams=hparams, worker=(w, ports)) for w in (0, 1)]
    )
    for worker, printed in enumerate(outputs):
        assert f"2 replicas on 2 workers, this is worker {worker}" in printed
        assert ("Done: 5 steps" in printed) == (worker == 0)
    assert_same(tmp_path / "one", tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "workers")
    moved = read_checkpoint(tmp_path / "one").optimizer
    assert max(np.abs(v).max() for k, v in moved.items() if k != "iterations") > 1e-3


@pytest.mark.slow
def test_a_killed_worker_is_named_within_a_minute_and_the_pair_goes_on(runs, tmp_path):
    ports = free_ports()
    options = ("--save_checkpoints_steps=2",)
    pair = [
        runs.start(tmp_path, *options, epochs=1000, worker=(worker, ports)) for worker in (0, 1)
    ]
    while not list_checkpoints(tmp_path):
        assert pair[0].poll() is None, pair[0].communicate()[0][-3000:]
        time.sleep(0.05)
    killed = time.monotonic()
    os.killpg(pair[1].pid, signal.SIGKILL)
    output, _ = pair[0].communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert pair[0].returncode == 1
    assert f"error: Worker 1 (127.0.0.1:{ports[1]}) died" in output

    step = step_of(list_checkpoints(tmp_path)[-1])
    epochs = step // STEPS + 2
    pair = [
        runs.start(tmp_path, *options, epochs=epochs, worker=(worker, ports)) for worker in (0, 1)
    ]
    chief, other = finish(*pair)
    assert re.search(rf"Resuming from step {step} of {epochs * STEPS}", chief)
    assert "Resuming" not in other, "only the chief reports"
    assert read_checkpoint(tmp_path).step == epochs * STEPS
