"""Heartbeat between the parents of a job's workers: the hub that they connect to.

The hub is a thread in the parent of worker 0. Every parent, including that one, keeps a TCP
connection to it and sends a heartbeat every few seconds. TCP is used rather than files in the
shared folder because the kernel closes the connections of a killed process, so that its death is
known at once; a shared file system may show a file's new time a minute late, and a store such as
`gs://` has no reliable times. Only a machine that vanishes has to be detected by a timeout.

A client that cannot prove that it holds the job's key (`job_key`) is rejected, its messages are
ignored, and it takes no place from clients that can.
"""

from __future__ import annotations

import hmac
import secrets
import selectors
import socket
import threading
import time
from dataclasses import dataclass

from efficientvision.errors import UserError
from efficientvision.training.cluster import Cluster
from efficientvision.training.heartbeat_link import SILENCE_SECONDS, Connection, own_address
from efficientvision.training.job_key import proof

# After the first failure the hub waits for more reports: the death of one worker makes the others
# fail too, and theirs may arrive first.
SETTLE_SECONDS = 3.0
# Connections that have not joined: how many at a time beyond the workers, and for how long.
_MOST_STRANGERS = 32
_STRANGER_SECONDS = 10.0
# Errors that malformed messages cause: huge numbers, missing numbers, deeply nested lists.
_NONSENSE = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)

# How a worker may end; of several, the lowest is considered the cause of the others.
# LEFT: its parent was asked to stop; YIELDED: training stopped early on another worker's request.
DONE, LOST, LEFT, KILLED, MISTAKE, ABORTED, CRASHED, YIELDED = range(8)
CLOSED = "its connection was closed; it was killed, or its machine went down"


@dataclass(frozen=True)
class Failure:
    """Why a job cannot continue: a worker, how it ended (`LOST` ... `YIELDED`), and a message."""

    worker: int
    how: int
    text: str


class Hub(threading.Thread):
    """Starts all workers together, and stops all of them when one has failed.

    Args:
        cluster: The job.
        key: Key of the job, see `job_key`.
        restarts: How often the job may be restarted.
        join_seconds: How long to wait for all workers.

    Raises:
        UserError: The port is in use.
    """

    def __init__(self, cluster: Cluster, *, key: bytes, restarts: int, join_seconds: float):
        super().__init__(name="hub", daemon=True)
        self._cluster = cluster
        self._key = key
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
        try:
            while not self._over:
                for key, _ in self._selector.select(timeout=0.2):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif not key.data.closed:
                        self._read(key.data)
                self._look_after()
        finally:  # However the hub ends, all parents notice.
            for connection in [*self._members.values(), *self._nameless]:
                connection.close()
            self._listener.close()
            self._selector.close()

    def _accept(self) -> None:
        """Accepts a connection; if too many have not joined, drops the oldest of these."""
        while len(self._nameless) >= len(self._cluster.workers) + _MOST_STRANGERS:
            self._lose(self._nameless[0], CLOSED)
        try:
            link = self._take_connection()
        except OSError:  # Already closed, or this process has too many open files.
            if self._nameless:
                self._lose(self._nameless[0], CLOSED)
            return
        connection = Connection(link)
        self._nameless.append(connection)
        self._selector.register(link, selectors.EVENT_READ, connection)
        connection.challenge = secrets.token_hex(16)
        try:
            connection.send(challenge=connection.challenge)
        except OSError:
            self._lose(connection, CLOSED)

    def _take_connection(self) -> socket.socket:
        return self._listener.accept()[0]

    def _read(self, connection: Connection) -> None:
        try:
            for message in connection.receive():
                self._take(connection, message)
        except (OSError, *_NONSENSE):
            self._lose(connection, CLOSED)

    def _take(self, connection: Connection, message: dict) -> None:
        if "join" in message:
            worker, restarts = int(message["join"]), int(message["restarts"])
            if not 0 <= worker < len(self._cluster.workers):
                raise ValueError(f"no worker {worker}")
            expected = proof(self._key, connection.challenge, worker)
            if not hmac.compare_digest(expected, str(message["proof"])):
                connection.send(refused=True)
                raise ValueError("no worker of this job")
            connection.send(joined=True)
            earlier = self._members.get(worker)
            if earlier is not connection:
                if earlier is not None:
                    self._lose(earlier, "it was started again")
                self._members[worker] = connection
                self._nameless.remove(connection)
            self._used = max(self._used, restarts)
            self._ready.add(worker)
        elif "ended" in message:
            worker = self._worker_of(connection)
            how = int(message["ended"])
            if how == DONE:
                self._done.add(worker)
            else:
                self._fail(Failure(worker, how, str(message["text"])))

    def _lose(self, connection: Connection, text: str) -> None:
        """Handles a lost connection; while the job runs, it is a failure."""
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
        """Detects timeouts, and acts when all workers are ready, all are done or one failed."""
        for connection in list(self._members.values()):
            if connection.silent:
                self._lose(connection, f"no heartbeat for {SILENCE_SECONDS:.0f} s")
        for connection in list(self._nameless):
            if time.monotonic() - connection.opened > _STRANGER_SECONDS:
                self._lose(connection, CLOSED)
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
        """Sends a message, or a heartbeat if there is none."""
        for connection in list(self._members.values()):
            try:
                connection.send(**message) if message else connection.beat()
            except OSError:
                self._lose(connection, CLOSED)


def _listen(cluster: Cluster) -> socket.socket:
    """Listens on worker 0's address in the cluster, or on all addresses if it is unknown."""
    port = cluster.heartbeat_port
    address = own_address(cluster.chief_host)
    try:
        if address is not None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise UserError(
            f"The workers cannot monitor each other: port {port} on this machine is not available "
            f"({error.strerror}); choose another with `heartbeat_port`, the same for all workers."
        ) from error
