"""The first signal is noted, even inside a call that Python cannot interrupt; the second ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from efficientvision.training.interruption import Interruption

# A derived key of so many rounds takes minutes, in one call without the interpreter's lock: as a
# compiled training step does.
BUSY = """
import hashlib, os, signal, threading
from efficientvision.training.interruption import Interruption
def send():
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
        while interruption.signal is None:
            pass
with Interruption(lambda text: print(text, flush=True)) as interruption:
    threading.Timer(0.2, send).start()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 10**9)
print("not reached")
"""


def _wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_handlers_come_back(number):
    before = signal.getsignal(number)
    said = []
    with Interruption(said.append) as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        _wait_until(lambda: said)
        assert interruption.signal == number
    assert signal.getsignal(number) is before
    assert {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number] in said[0]
    assert "again" in said[0].lower()


def test_the_same_signal_twice_at_once_is_one_request():
    said = []
    with Interruption(said.append) as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        assert interruption.signal == signal.SIGTERM
    assert len(said) == 1


def test_second_signal_ends_the_process_in_the_middle_of_a_call(repository):
    done = subprocess.run(
        [sys.executable, "-c", BUSY],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("Ctrl-C")


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter():
        with Interruption(seen.append) as interruption:
            seen.append(interruption.signal)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [None]
    assert signal.getsignal(signal.SIGINT) is before
