"""The parents of a job's workers watch each other: messages, and the hub where they meet.

The hub is a thread in the parent of worker 0. Every parent, that one included, keeps a TCP
connection to it and sends a sign of life every few seconds. TCP rather than files in the shared
folder: the kernel of a machine closes the connections of a process that is killed, so that its
death is known at once, where a shared file system may show a file's new time a minute late and a
store such as `gs://` has no times to rely on. Only a machine that vanishes is noticed by silence.

Messages are JSON objects, one a line. To the hub: `join` (worker; restarts), `ended` (how; text),
`beat`. From the hub: `start` (restarts), `stop` (text; again), `end`, `beat`.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from dataclasses import dataclass

from efficientvision.errors import UserError
from efficientvision.training.cluster import Cluster

BEAT_SECONDS = 2.0
# A parent that was not heard of for so long is dead.
SILENCE_SECONDS = 30.0
# After the first failure the hub waits for others to be reported: the death of one worker makes the
# rest fail too, and the first word may come from them.
SETTLE_SECONDS = 3.0
_SEND_SECONDS = 5.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

# How a worker may end: of several, the lowest is taken for the cause of the others.
# LEFT: its parent was asked to end; YIELDED: the training ended early, on another's request.
DONE, LOST, LEFT, KILLED, MISTAKE, ABORTED, CRASHED, YIELDED = range(8)
CLOSED = "its connection was closed; it was killed, or its machine ended"


class Connection:
    """JSON messages over a socket."""

    def __init__(self, link: socket.socket):
        link.settimeout(_SEND_SECONDS)
        self.socket = link
        self.heard = time.monotonic()
        self._said = 0.0
        self._rest = b""

    def send(self, **message) -> None:
        """Sends a message. Raises OSError where the other side is gone."""
        self._said = time.monotonic()
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def beat(self) -> None:
        """Sends a sign of life, if nothing was sent for a while."""
        if time.monotonic() - self._said > BEAT_SECONDS:
            self.send(beat=1)

    def receive(self) -> list[dict]:
        """What has arrived; call when the socket is readable.

        Raises:
            OSError: The other side is gone, or does not speak this language.
        """
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed")
        self.heard = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError as error:
            raise ConnectionError("not a message") from error
        if len(self._rest) > 1 << 16 or not all(isinstance(m, dict) for m in messages):
            raise ConnectionError("not a message")
        return [message for message in messages if "beat" not in message]

    @property
    def silent(self) -> bool:
        """Whether the other side is dead by its silence."""
        return time.monotonic() - self.heard > SILENCE_SECONDS

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.socket.fileno() < 0

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()


@dataclass(frozen=True)
class Failure:
    """Why a job cannot go on: a worker, how it ended (`LOST` ... `YIELDED`), and words for it."""

    worker: int
    how: int
    text: str


class Hub(threading.Thread):
    """Lets the workers start together, and stops all of them when one has failed.

    Args:
        cluster: The job.
        restarts: How often the job may start again.
        join_seconds: How long to wait for all workers.

    Raises:
        UserError: The port is taken.
    """

    def __init__(self, cluster: Cluster, *, restarts: int, join_seconds: float):
        super().__init__(name="hub", daemon=True)
        self._cluster = cluster
        self._restarts = restarts
        self._used = 0
        self._join_seconds = join_seconds
        self._listener = _listen(cluster)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._members: dict[int, Connection] = {}
        self._nameless: list[Connection] = []
        self._gather()
        self._over = False

    def _gather(self) -> None:
        self._ready: set[int] = set()
        self._done: set[int] = set()
        self._failures: list[Failure] = []
        self._failed_at = 0.0
        self._running = False
        self._deadline = time.monotonic() + self._join_seconds

    def run(self) -> None:
        """Serves until the job is over."""
        while not self._over:
            for key, _ in self._selector.select(timeout=0.2):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)
            self._look_after()
        for connection in [*self._members.values(), *self._nameless]:
            connection.close()
        self._listener.close()
        self._selector.close()

    def _accept(self) -> None:
        link, _ = self._listener.accept()
        connection = Connection(link)
        self._nameless.append(connection)
        self._selector.register(link, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            for message in connection.receive():
                self._take(connection, message)
        except (OSError, KeyError, TypeError, ValueError):
            self._lose(connection, CLOSED)

    def _take(self, connection: Connection, message: dict) -> None:
        if "join" in message:
            worker = int(message["join"])
            if not 0 <= worker < len(self._cluster.workers):
                raise ValueError(f"no worker {worker}")
            earlier = self._members.get(worker)
            if earlier is not connection:
                if earlier is not None:
                    self._lose(earlier, "it was started anew")
                self._members[worker] = connection
                self._nameless.remove(connection)
            self._used = max(self._used, int(message["restarts"]))
            self._ready.add(worker)
        elif "ended" in message:
            worker = self._worker_of(connection)
            how = int(message["ended"])
            if how == DONE:
                self._done.add(worker)
            else:
                self._fail(Failure(worker, how, str(message["text"])))

    def _lose(self, connection: Connection, text: str) -> None:
        """A parent is gone: while the job runs, that is a failure."""
        if connection.closed:
            return
        self._selector.unregister(connection.socket)
        connection.close()
        if connection in self._nameless:
            self._nameless.remove(connection)
            return
        worker = self._worker_of(connection)
        del self._members[worker]
        self._ready.discard(worker)
        if self._running:
            self._fail(Failure(worker, LOST, f"died: {text}"))

    def _worker_of(self, connection: Connection) -> int:
        for worker, member in self._members.items():
            if member is connection:
                return worker
        raise KeyError("not joined")

    def _fail(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._failed_at = self._failed_at or time.monotonic()

    def _look_after(self) -> None:
        """Notices silence, and moves the job on when all are ready, all are done or one failed."""
        for connection in list(self._members.values()):
            if connection.silent:
                self._lose(connection, f"nothing was heard of it for {SILENCE_SECONDS:.0f} s")
        self._tell_all(None)
        everyone = set(range(len(self._cluster.workers)))
        if self._failures:
            first = min(self._failures, key=lambda failure: failure.how)
            if first.how <= KILLED or time.monotonic() - self._failed_at > SETTLE_SECONDS:
                self._end_attempt(first)
        elif self._running and self._done == everyone:
            self._tell_all({"end": True})
            self._over = True
        elif not self._running and self._ready == everyone:
            self._running = True
            self._tell_all({"start": self._used})
        elif not self._running and time.monotonic() > self._deadline:
            missing = min(everyone - self._ready)
            text = f"did not join within {self._join_seconds:.0f} seconds"
            self._end_attempt(Failure(missing, LOST, text), final=True)

    def _end_attempt(self, failure: Failure, *, final: bool = False) -> None:
        again = not final and failure.how != MISTAKE and self._used < self._restarts
        if again:
            self._used += 1
        text = f"{self._cluster.name(failure.worker)} {failure.text}"
        self._tell_all({"stop": text, "again": again})
        self._over = not again
        self._gather()

    def _tell_all(self, message: dict | None) -> None:
        """Sends a message, or a sign of life."""
        for connection in list(self._members.values()):
            try:
                connection.send(**message) if message else connection.beat()
            except OSError:
                self._lose(connection, CLOSED)


def _listen(cluster: Cluster) -> socket.socket:
    host, port = cluster.chief_host, cluster.heartbeat_port
    try:
        if host in _LOOPBACK:
            return socket.create_server(("127.0.0.1", port))
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise UserError(
            f"The workers cannot watch each other: port {port} of this machine is not free "
            f"({error.strerror}); choose another with --heartbeat_port, the same for all workers."
        ) from error


def join(cluster: Cluster, *, restarts: int, seconds: float) -> Connection:
    """Connects a parent to the hub and reports it ready.

    Args:
        cluster: The job, and which worker this is.
        restarts: How often this parent has seen the job start again.
        seconds: How long to try.

    Raises:
        UserError: Worker 0 does not answer.
    """
    host = cluster.chief_host
    if cluster.index == 0 or host in _LOOPBACK:
        host = "127.0.0.1"
    end = time.monotonic() + seconds
    while True:
        try:
            connection = Connection(
                socket.create_connection((host, cluster.heartbeat_port), _SEND_SECONDS)
            )
            connection.send(join=cluster.index, restarts=restarts)
            return connection
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"{cluster.name(0)} does not answer at {host}:{cluster.heartbeat_port} "
                    f"({error}): every worker needs the same command, TF_CONFIG with the same "
                    "addresses, and this port open."
                ) from error
            time.sleep(0.5)
