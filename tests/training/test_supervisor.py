"""Parents and children without TensorFlow: who dies, who says so, who starts again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = Path(__file__).with_name("watching_parent.py")
SECOND = "Worker 1 (127.0.0.1:12)"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Job:
    """Starts parents, each in a process group of its own, and looks after their children."""

    def __init__(self, folder, repository, *, restarts=0, join_seconds=30, workers=2):
        self.folder = folder
        self.port = free_port() if workers > 1 else 0
        self._options = [str(restarts), str(join_seconds)]
        self._environment = {**os.environ, "PYTHONPATH": str(repository)}
        self.parents = {}

    def start(self, worker, *code):
        self.parents[worker] = subprocess.Popen(
            [sys.executable, PARENT, self.folder, str(self.port), str(worker)]
            + [*self._options, *map(str, code)],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def child(self, worker, attempt=0):
        """The child's process id, when it runs."""
        path = self.folder / f"{worker}.{attempt}"
        end = time.monotonic() + 120
        while not path.exists():
            assert time.monotonic() < end, f"{path.name} has not started"
            time.sleep(0.02)
        return int(path.read_text())

    def finish(self):
        (self.folder / "finish").touch()

    def kill_group(self, worker):
        os.killpg(self.parents[worker].pid, signal.SIGKILL)
        self.parents[worker].communicate()

    def end(self, worker):
        """Exit code and output of a parent that ends now."""
        output, _ = self.parents[worker].communicate(timeout=120)
        return self.parents[worker].returncode, output


@pytest.fixture
def job(tmp_path, repository):
    jobs = []

    def make(**options):
        jobs.append(Job(tmp_path, repository, **options))
        return jobs[-1]

    yield make
    for made in jobs:
        for parent in made.parents.values():
            if parent.poll() is None:
                os.killpg(parent.pid, signal.SIGKILL)
                parent.communicate()


def assert_gone(process_id):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {process_id} still runs")


def test_all_done(job):
    two = job()
    for worker in (1, 0):
        two.start(worker)
    for worker in (0, 1):
        two.child(worker)
    two.finish()
    assert [two.end(worker)[0] for worker in (0, 1)] == [0, 0]


@pytest.mark.parametrize(("killed", "other"), [(1, 0), (0, 1)])
def test_a_killed_worker_is_named_and_the_other_stops(job, killed, other):
    two = job()
    for worker in (0, 1):
        two.start(worker)
    left = [two.child(worker) for worker in (0, 1)][other]
    two.kill_group(killed)
    code, output = two.end(other)
    assert code == 1
    (error,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert f"Worker {killed} (127.0.0.1:1{killed + 1}) died: its connection was closed" in error
    assert "`restarts=N`" in error
    assert_gone(left)


def test_a_killed_child_is_named(job):
    two = job()
    for worker in (0, 1):
        two.start(worker)
    children = [two.child(worker) for worker in (0, 1)]
    os.kill(children[1], signal.SIGKILL)
    for worker in (0, 1):
        code, output = two.end(worker)
        assert code == 1
        assert f"{SECOND} died: its training process was killed by signal 9 (SIGKILL)" in output


def test_of_two_deaths_the_cause_is_named_not_its_effect(job):
    two = job()
    two.start(0, 70)
    two.start(1)
    two.child(0)
    os.kill(two.child(1), signal.SIGKILL)
    for worker in (0, 1):
        assert f"error: {SECOND} died" in two.end(worker)[1]


def test_a_killed_child_is_restarted_with_its_peer(job):
    two = job(restarts=1)
    for worker in (0, 1):
        two.start(worker)
    children = [two.child(worker) for worker in (0, 1)]
    os.kill(children[1], signal.SIGKILL)
    assert_gone(children[0])
    for worker in (0, 1):
        two.child(worker, 1)
    two.finish()
    for worker in (0, 1):
        code, output = two.end(worker)
        assert code == 0
        assert f"{SECOND} died" in output and "Restart 1 of 1" in output


@pytest.mark.parametrize("killed", [0, 1])
def test_a_worker_that_is_started_again_rejoins(job, killed):
    two = job(restarts=1)
    for worker in (0, 1):
        two.start(worker)
    for worker in (0, 1):
        two.child(worker)
    two.kill_group(killed)
    two.start(killed)
    for worker in (0, 1):
        two.child(worker, 1)
    two.finish()
    assert [two.end(worker)[0] for worker in (0, 1)] == [0, 0]


def test_a_hub_that_dies_before_the_start_costs_no_restart(job):
    """The kernel takes connections for one that is killed until its sockets are closed."""
    two = job(join_seconds=60)
    with socket.create_server(("127.0.0.1", two.port)) as dying:
        two.start(1)
        dying.accept()[0].close()
    two.start(0)
    for worker in (0, 1):
        two.child(worker)
    two.finish()
    assert [two.end(worker)[0] for worker in (0, 1)] == [0, 0]


def test_a_stranger_on_the_port_is_not_asked_for_ever(job):
    two = job(join_seconds=1)
    with socket.create_server(("127.0.0.1", two.port)) as stranger:
        two.start(1)
        while two.parents[1].poll() is None:
            stranger.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                stranger.accept()[0].close()
    code, output = two.end(1)
    assert code == 1
    assert "Worker 0 (127.0.0.1:11) does not answer" in output


def test_restarts_are_counted(job):
    two = job(restarts=1)
    for worker in (0, 1):
        two.start(worker)
    for attempt in (0, 1):
        two.child(0, attempt)
        os.kill(two.child(1, attempt), signal.SIGKILL)
    for worker in (0, 1):
        code, output = two.end(worker)
        assert code == 1
        assert "Restart 1 of 1" in output and "`restarts=1` is used up" in output


@pytest.mark.slow
def test_a_mistake_of_the_user_is_not_tried_again(job):
    two = job(restarts=3)
    two.start(0)
    two.start(1, 1)
    code, output = two.end(0)
    assert code == 1
    assert f"error: {SECOND} stopped with an error (exit code 1)" in output
    assert "Restart" not in output
    code, output = two.end(1)
    assert code == 1
    assert "error" not in output  # The child has said it.


def test_a_worker_that_never_comes_is_named(job):
    two = job(join_seconds=0.5)
    two.start(0)
    code, output = two.end(0)
    assert code == 1
    assert f"{SECOND} did not join within" in output


def test_a_first_worker_that_never_comes_is_named(job):
    two = job(join_seconds=0.5)
    two.start(1)
    code, output = two.end(1)
    assert code == 1
    assert "Worker 0 (127.0.0.1:11) does not answer" in output


def test_alone(job):
    one = job(workers=1, restarts=1)
    one.start(0)
    os.kill(one.child(0), signal.SIGSEGV)
    one.child(0, 1)
    one.finish()
    code, output = one.end(0)
    assert code == 0
    assert "signal 11 (SIGSEGV). Restart 1 of 1" in output


def test_alone_for_the_last_time(job):
    one = job(workers=1, restarts=2)
    one.start(0, 70)
    code, output = one.end(0)
    assert code == 1
    assert "error: The training failed" in output and "`restarts=2` is used up" in output


def test_a_mistake_alone_keeps_its_exit_code(job):
    one = job(workers=1, restarts=2)
    one.start(0, 2)
    assert one.end(0) == (2, "")


def test_a_request_to_end_gives_the_children_time_and_names_who_was_asked(job):
    two = job()
    for worker in (0, 1):
        two.start(worker)
    children = [two.child(worker) for worker in (0, 1)]
    two.parents[1].send_signal(signal.SIGTERM)
    assert two.end(1)[0] == 128 + signal.SIGTERM
    code, output = two.end(0)
    assert code == 1
    assert f"error: {SECOND} was asked to stop (SIGTERM)" in output
    for process_id in children:
        assert_gone(process_id)


def test_a_child_that_does_not_end_is_ended_by_a_second_request(job):
    one = job(workers=1)
    one.start(0)
    child = one.child(0)
    os.kill(child, signal.SIGSTOP)
    for _ in range(2):
        one.parents[0].send_signal(signal.SIGTERM)
        time.sleep(0.5)
    assert one.end(0)[0] == 128 + signal.SIGTERM
    assert_gone(child)


def test_a_request_to_end_alone_keeps_the_exit_code_of_its_signal(job):
    one = job(workers=1, restarts=3)
    one.start(0)
    one.child(0)
    one.parents[0].send_signal(signal.SIGTERM)
    assert one.end(0) == (128 + signal.SIGTERM, "")


def test_a_child_does_not_outlive_its_parent(job):
    one = job(workers=1)
    one.start(0)
    child = one.child(0)
    one.parents[0].kill()
    assert_gone(child)
