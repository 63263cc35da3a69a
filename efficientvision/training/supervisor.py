"""A parent process that runs training as its child, and stops or restarts it with its peers.

TensorFlow alone does not survive the death of a worker: the others wait in a collective operation
forever, or abort. So each worker of a job is two processes. The parent, which does not import
TensorFlow, starts the child, sees how it ends, and learns about its peers through `heartbeat`. When
one worker dies, every parent kills its child, reports who died, and exits; or, with restarts left,
all of them start new children together, which resume from the newest checkpoint.

A child exits when its parent is gone, because two children of one worker would write to the same
folder.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.training.cluster import Cluster
from efficientvision.training.heartbeat import (
    ABORTED,
    CLOSED,
    CRASHED,
    DONE,
    KILLED,
    LEFT,
    MISTAKE,
    YIELDED,
    Hub,
)
from efficientvision.training.heartbeat_link import BEAT_SECONDS, Connection, join
from efficientvision.training.job_key import make_key, read_key

# Tells a process that it is a child, and which socket connects it to its parent.
PARENT_SOCKET = "EFFICIENTVISION_PARENT_SOCKET"
# Exit code of a child after a bug; 1 and 2 mean that the user has something to fix.
CRASH_CODE = 70
_MISTAKES = (1, 2)
_YIELDS = (128 + signal.SIGINT, 128 + signal.SIGTERM)
# A child whose threads make no progress for this long is hung; generous, as it is the only sign.
FROZEN_SECONDS = 300.0
# A child that was asked to stop finishes its steps and writes a checkpoint.
_GRACE_SECONDS = 120.0
_HUB_SECONDS = 10.0
_TICK_SECONDS = 0.2


def supervise(
    command: Sequence[str],
    *,
    cluster: Cluster | None,
    restarts: int,
    join_seconds: float,
    say: Callable[[str], None],
    model_dir: AnyPath | None = None,
) -> int:
    """Runs a training command as a child process until it is done or cannot continue.

    Args:
        command: Program and arguments of the child.
        cluster: The job's workers; None for a single process.
        restarts: How often to restart after a death.
        join_seconds: How long to wait for the other workers.
        say: Called with a sentence about the job.
        model_dir: The run's folder, where the workers find the key of their job; see `job_key`.

    Returns:
        The exit code: 0, that of a child that reported a user error, or 128 + the signal that asked
        the parent to stop.

    Raises:
        UserError: A worker died and no restarts are left; the message names it.
    """
    parent = _Parent(command, cluster, restarts, join_seconds, say, model_dir)
    previous = {s: signal.signal(s, parent.ask_to_end) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        return parent.run_alone() if cluster is None else parent.run_with_peers()
    finally:
        parent.kill_child()
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """In a child: starts the thread that sends heartbeats to the parent and exits after it."""
    link = socket.socket(fileno=int(os.environ[PARENT_SOCKET]))

    def watch() -> None:
        while True:
            try:
                link.send(b".")
                readable, _, _ = select.select([link], [], [], BEAT_SECONDS)
                gone = readable and not link.recv(1)
            except OSError:
                gone = True
            if gone:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class Child:
    """A running child process.

    Attributes:
        end: How it ended (`heartbeat.DONE` ... `YIELDED`) and a message; None while it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]):
        self.end: tuple[int, str] | None = None
        self._socket, other = socket.socketpair()
        self._socket.setblocking(False)
        self._heard: float | None = None
        with other:
            self._process = subprocess.Popen(
                list(command),
                env={**environment, PARENT_SOCKET: str(other.fileno())},
                pass_fds=[other.fileno()],
            )

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.returncode

    def look(self) -> bool:
        """Checks whether the child has ended, and kills it if it hangs."""
        with contextlib.suppress(OSError):
            if self._socket.recv(1 << 12):
                self._heard = time.monotonic()
        code = self._process.poll()
        if code is not None:
            self.end = describe_end(code)
        elif self._heard is not None and time.monotonic() - self._heard > FROZEN_SECONDS:
            self.kill()
            self.end = KILLED, f"hung: its process made no progress for {FROZEN_SECONDS:.0f} s"
        return self.end is not None

    def ask_to_end(self, number: int) -> None:
        """Forwards a signal to the child."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills the child."""
        self._process.kill()
        self._process.wait()
        self._socket.close()


def describe_end(code: int) -> tuple[int, str]:
    """Classifies the end of a process by its exit code, with a message; negative means a signal."""
    if code == 0:
        return DONE, "is done"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else "unknown"
        how = ABORTED if -code == signal.SIGABRT else KILLED
        return how, f"died: its training process was killed by signal {-code} ({name})"
    if code in _MISTAKES:
        return MISTAKE, f"stopped with an error (exit code {code}); see its own output"
    if code in _YIELDS:
        return YIELDED, "stopped training early because of a signal"
    return CRASHED, f"failed: its training process exited with code {code}; see its own output"


class _Parent:
    """The parent of one worker; see `supervise` for its arguments."""

    def __init__(self, command, cluster, restarts, join_seconds, say, model_dir):
        self._command = command
        self._cluster = cluster
        self._restarts = restarts
        self._used = 0
        self._join_seconds = join_seconds
        self._say = say
        self._model_dir = model_dir
        self._child: Child | None = None
        self._asked = 0
        self._passed_on = False
        self._deadline = 0.0

    def ask_to_end(self, number: int, frame) -> None:
        """Signal handler: forwards the signal and grants some time; a second one kills at once."""
        del frame
        self._deadline = 0.0 if self._asked else time.monotonic() + _GRACE_SECONDS
        self._asked = self._asked or number

    def kill_child(self) -> None:
        """Kills the child, if there is one."""
        if self._child is not None:
            if self._child.end is None:
                print(file=sys.stderr)  # Ends the line of an unfinished progress bar.
            self._child.kill()
            self._child = None

    def run_alone(self) -> int:
        """Runs the child and restarts it when it dies; returns the exit code."""
        while True:
            self._start_child()
            while not self._leaves() and self._child.end is None:
                self._child.look()
                time.sleep(_TICK_SECONDS)
            if self._asked:
                return 128 + self._asked
            how, text = self._child.end
            if how in (DONE, MISTAKE, YIELDED):
                return self._child.code
            self._count_restart(f"The training {text}", self._used < self._restarts)

    def run_with_peers(self) -> int:
        """Like `run_alone`, together with the parents of the other workers."""
        hub = None
        if self._cluster.index == 0:
            hub = Hub(
                self._cluster,
                key=self._make_key(),
                restarts=self._restarts,
                join_seconds=self._join_seconds,
            )
            hub.start()
        try:
            while (code := self._attempt()) is None:
                self.kill_child()
            return code
        finally:
            if hub is not None:
                hub.join(_HUB_SECONDS)

    def _make_key(self) -> bytes:
        try:
            return make_key(self._cluster, self._model_dir)
        except OSError as error:
            raise UserError(
                f"The workers cannot connect: the folder {self._model_dir} is not writable "
                f"({error.strerror or error}). Choose a `model_dir` that all of them share."
            ) from error

    def _attempt(self) -> int | None:
        """Joins the others and runs a child; returns the exit code, or None to try again."""
        here = self._cluster.name(self._cluster.index)
        self._say(f"{here}: waiting for all {len(self._cluster.workers)} workers of the job.")
        deadline = time.monotonic() + self._join_seconds
        while True:
            seconds = deadline - time.monotonic()
            link = join(
                self._cluster,
                key=lambda: read_key(self._cluster, self._model_dir),
                restarts=self._used,
                seconds=seconds,
            )
            try:
                with contextlib.closing(link):
                    return self._take_part(link)
            except OSError:
                # A dying hub still accepts connections for a moment. Nothing has started yet: wait
                # for the next hub.
                if self._child is None and time.monotonic() < deadline:
                    time.sleep(_TICK_SECONDS)
                    continue
                text = f"{self._cluster.name(0)} died: {CLOSED}"
                return self._stop(text, self._used < self._restarts)

    def _take_part(self, link: Connection) -> int | None:
        """Follows the hub; returns as `_attempt`. Raises OSError if the hub is gone."""
        while True:
            for message in self._turn(link):
                if "start" in message:
                    self._used = int(message["start"])
                    self._start_child()
                elif "end" in message:
                    return 0
                elif "stop" in message:
                    return self._stop(str(message["stop"]), bool(message["again"]))
            if self._leaves():
                name = signal.Signals(self._asked).name
                with contextlib.suppress(OSError):
                    link.send(ended=LEFT, text=f"was asked to stop ({name})")
                return 128 + self._asked

    def _turn(self, link: Connection) -> list[dict]:
        """Waits briefly for messages, sends a heartbeat, and reports how the child ended."""
        wait = 0.0 if link.has_messages else _TICK_SECONDS
        readable, _, _ = select.select([link.socket], [], [], wait)
        messages = link.receive() if readable or link.has_messages else []
        link.beat()
        if link.silent:
            raise TimeoutError
        if self._child is not None and self._child.end is None and self._child.look():
            how, text = self._child.end
            if not self._asked:
                link.send(ended=how, text=text)
        return messages

    def _stop(self, text: str, again: bool) -> int | None:
        child = self._child
        if child is not None and child.end is not None and child.end[0] == MISTAKE:
            return child.code  # It has already reported the error.
        self.kill_child()
        self._count_restart(text, again)
        return None

    def _count_restart(self, text: str, again: bool) -> None:
        if not again:
            used_up = f"`restarts={self._restarts}` is used up"
            remedy = used_up if self._restarts else "`restarts=N` restarts it automatically"
            raise UserError(
                f"{text}. Training stops here; run the same command to resume from the newest "
                f"checkpoint ({remedy})."
            )
        self._used += 1
        self._say(f"{text}. Restart {self._used} of {self._restarts}.")

    def _start_child(self) -> None:
        environment = dict(os.environ)
        if self._cluster is not None:
            environment["TF_CONFIG"] = self._cluster.tf_config()
        self._child = Child(self._command, environment)

    def _leaves(self) -> bool:
        """Whether this parent was asked to stop, and its child has ended or used up its time."""
        if not self._asked:
            return False
        if self._child is None or self._child.end is not None:
            return True
        if not self._passed_on:
            self._child.ask_to_end(self._asked)
            self._passed_on = True
        return time.monotonic() > self._deadline
