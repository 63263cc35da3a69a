"""One live training in a folder: refused by name, and not by the dead."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from efficientvision.errors import UserError
from efficientvision.training import run_lock
from efficientvision.training.run_lock import LOCK_NAME, Holder, RunLock

HOLDS = """
import subprocess, sys, time
from efficientvision.training.run_lock import RunLock
with RunLock(sys.argv[1]) as lock:
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock._file]) if sys.argv[2:] else None
    print("held" if child is None else child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(run_lock, "WATCH_SECONDS", 0.5)
    monkeypatch.setattr(run_lock, "_LOOK_SECONDS", 0.02)


@contextlib.contextmanager
def another_process(repository, folder, *arguments):
    """A process that trains in a folder; gives it, and what it printed first."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder), *arguments],
        cwd=repository,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def _write(folder, holder, beat):
    (folder / LOCK_NAME).write_text(json.dumps({**dataclasses.asdict(holder), "beat": beat}))


def _elsewhere():
    other = dataclasses.replace(Holder.of_this_process(), host="other", machine="m", token="t")
    return other


def test_a_second_training_is_refused_by_name(tmp_path):
    with RunLock(tmp_path / "run") as lock:
        with pytest.raises(UserError) as caught, RunLock(tmp_path / "run"):
            pass
        holder = json.loads((tmp_path / "run" / LOCK_NAME).read_text())
        for word in (str(tmp_path / "run"), str(os.getpid()), socket.gethostname(), "UTC"):
            assert word in str(caught.value)
        assert holder["start"] in str(caught.value)
        assert lock.check() is False
    assert not (tmp_path / "run").exists()  # Nothing came of it.
    with RunLock(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").touch()
    assert os.listdir(tmp_path / "run") == ["config.yaml"]


def test_another_process_holds_it_until_it_dies(repository, tmp_path):
    with another_process(repository, tmp_path) as (process, _):
        with pytest.raises(UserError, match=f"process {process.pid} on"), RunLock(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK_NAME).exists()
        with RunLock(tmp_path) as lock:
            assert lock.check() is False


def test_what_a_dead_one_started_holds_nothing(repository, tmp_path):
    """A process that it began still has the locked file open."""
    with another_process(repository, tmp_path, "with a child") as (process, child):
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            with RunLock(tmp_path) as lock:
                assert lock.check() is False
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_without_locks_of_the_file_system_the_process_decides(repository, tmp_path, monkeypatch):
    with another_process(repository, tmp_path) as (process, _):
        monkeypatch.setattr(run_lock, "fcntl", None)
        with pytest.raises(UserError, match=str(process.pid)), RunLock(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with RunLock(tmp_path) as lock:
            assert lock.check() is False
        assert not (tmp_path / LOCK_NAME).exists()


def test_a_later_process_of_the_same_number_is_another(tmp_path):
    _write(tmp_path, dataclasses.replace(Holder.of_this_process(), began="1"), time.time())
    with RunLock(tmp_path):
        pass


def test_another_machine_is_watched_for_signs_of_life(tmp_path):
    said = []
    _write(tmp_path, _elsewhere(), time.time())
    with RunLock(tmp_path, said.append):
        pass
    assert "process" in said[0] and "other" in said[0]

    _write(tmp_path, _elsewhere(), time.time() - 10 * run_lock.OLD_SECONDS)
    said.clear()
    with RunLock(tmp_path, said.append):
        pass
    assert not said


def test_another_machine_that_shows_life_holds_it(tmp_path):
    ended = threading.Event()

    def live():
        while not ended.wait(0.05):
            _write(tmp_path, _elsewhere(), time.time())

    thread = threading.Thread(target=live)
    thread.start()
    try:
        time.sleep(0.2)
        with (
            pytest.raises(UserError, match="on other, since"),
            RunLock(tmp_path, lambda text: None),
        ):
            pass
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\x00", b'{"process": "x"}'])
def test_a_damaged_lock_holds_nothing(tmp_path, content):
    (tmp_path / LOCK_NAME).write_bytes(content)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["process"] == os.getpid()


def test_a_deleted_folder_is_taken_again(tmp_path):
    folder = tmp_path / "run"
    with RunLock(folder) as lock:
        shutil.rmtree(folder)
        assert lock.check() is True
        assert lock.check() is False
        with pytest.raises(UserError), RunLock(folder):
            pass
        (folder / "more").touch()
    assert os.listdir(folder) == ["more"]


def test_who_was_taken_over_ends(tmp_path):
    with RunLock(tmp_path) as lock:
        (tmp_path / LOCK_NAME).unlink()
        _write(tmp_path, _elsewhere(), time.time())
        with pytest.raises(UserError, match="taken over by another training.*on other"):
            lock.check()
    assert (tmp_path / LOCK_NAME).exists()


def test_the_lock_shows_life(tmp_path):
    with RunLock(tmp_path):
        first = run_lock._beat_of(str(tmp_path / LOCK_NAME))
        deadline = time.monotonic() + 10
        while run_lock._beat_of(str(tmp_path / LOCK_NAME)) in (first, 0.0):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="is a file, and a run needs a folder"):
        RunLock(tmp_path / "run").__enter__()


def test_remote_folders():
    folder = "ram://lock/run"
    with RunLock(folder) as lock:
        with pytest.raises(UserError, match="Another training runs in ram://lock/run"):
            RunLock(folder).__enter__()
        assert lock.check() is False
    with RunLock(folder):
        pass


def test_a_copy_of_a_live_runs_folder_is_free(tmp_path):
    """And the folder itself under another name is not."""
    with RunLock(tmp_path / "run"):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with RunLock(tmp_path / "copy"):
            assert json.loads((tmp_path / "copy" / LOCK_NAME).read_text())["process"] == os.getpid()
        os.rename(tmp_path / "run", tmp_path / "renamed")
        with (
            pytest.raises(UserError, match="Another training runs in"),
            RunLock(tmp_path / "renamed"),
        ):
            pass
        os.rename(tmp_path / "renamed", tmp_path / "run")
