"""Connections between the parents of a job's workers: messages, addresses, authentication.

Messages are JSON objects, one per line. The hub sends `challenge`, the worker replies `join`
(worker; restarts; proof), and the hub replies `joined` or `refused`. Then, to the hub: `ended`
(how; text), `beat`; from the hub: `start` (restarts), `stop` (text; again), `end`, `beat`.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from efficientvision.errors import UserError
from efficientvision.training.cluster import Cluster
from efficientvision.training.job_key import proof

BEAT_SECONDS = 2.0
# A parent that has been silent for this long is considered dead.
SILENCE_SECONDS = 30.0
_SEND_SECONDS = 5.0
_MAX_MESSAGE = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Connection:
    """JSON messages over a socket."""

    def __init__(self, link: socket.socket):
        link.settimeout(_SEND_SECONDS)
        self.socket = link
        self.heard = self.opened = time.monotonic()
        self.challenge = ""
        self._said = 0.0
        self._rest = b""
        self._waiting: list[dict] = []

    def send(self, **message: Any) -> None:
        """Sends a message. Raises OSError if the other side is gone."""
        self._said = time.monotonic()
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def beat(self) -> None:
        """Sends a heartbeat if nothing was sent for a while."""
        if time.monotonic() - self._said > BEAT_SECONDS:
            self.send(beat=1)

    def receive(self) -> list[dict]:
        """Returns the messages that arrived; call it when the socket is readable or `has_messages`.

        Raises:
            OSError: The other side is gone, or does not follow the protocol.
        """
        if self._waiting:
            messages, self._waiting = self._waiting, []
            return messages
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed")
        self.heard = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except (ValueError, RecursionError) as error:
            raise ConnectionError("not a message") from error
        if len(self._rest) > _MAX_MESSAGE or not all(isinstance(m, dict) for m in messages):
            raise ConnectionError("not a message")
        return [message for message in messages if "beat" not in message]

    def put_back(self, messages: list[dict]) -> None:
        """Puts messages back, so that `receive` returns them next."""
        self._waiting = messages

    @property
    def has_messages(self) -> bool:
        """Whether `receive` returns without waiting for the socket."""
        return bool(self._waiting)

    @property
    def silent(self) -> bool:
        """Whether the other side has been silent for too long."""
        return time.monotonic() - self.heard > SILENCE_SECONDS

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.socket.fileno() < 0

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()


def own_address(host: str) -> str | None:
    """The address of this machine that a host name resolves to.

    Returns:
        None if other machines cannot use the name: it does not resolve yet (a pod that is not
        ready), or resolves to an address that this machine does not have (a service's), or to the
        loopback address (as in Debian's `/etc/hosts`).
    """
    if host in _LOOPBACK:
        return "127.0.0.1"
    try:
        known = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    addresses = {str(entry[4][0]) for entry in known}
    if len(addresses) != 1:
        return None
    address = addresses.pop()
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return None
    return address


def join(
    cluster: Cluster, *, key: Callable[[], bytes], restarts: int, seconds: float
) -> Connection:
    """Connects a parent to the hub and reports that it is ready.

    Args:
        cluster: The job, and which worker this is.
        key: Reads the job's key; called at each attempt because worker 0 may write it later.
        restarts: How many restarts of the job this parent has seen.
        seconds: How long to try.

    Raises:
        UserError: Worker 0 does not answer, or rejects this worker.
    """
    end = time.monotonic() + seconds
    while True:
        host = cluster.chief_host
        if cluster.index == 0 or host in _LOOPBACK:
            host = own_address(host) or "127.0.0.1"
        try:
            link = socket.create_connection((host, cluster.heartbeat_port), _SEND_SECONDS)
            return _introduce(Connection(link), cluster.index, key, restarts)
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"{cluster.name(0)} does not answer at {host}:{cluster.heartbeat_port} "
                    f"({error}). Every worker needs the same command, TF_CONFIG with the same "
                    "addresses, the same model_dir on a disk that all share, and this port open."
                ) from error
            time.sleep(0.5)


def _introduce(
    connection: Connection, worker: int, key: Callable[[], bytes], restarts: int
) -> Connection:
    """Answers the hub's challenge.

    Raises:
        OSError: It is not a hub, or another job's hub, or the key does not exist yet.
    """
    try:
        challenge = _answer(connection, "challenge")
        connection.send(join=worker, restarts=restarts, proof=proof(key(), str(challenge), worker))
        _answer(connection, "joined")
    except BaseException:
        connection.close()
        raise
    return connection


def _answer(connection: Connection, wanted: str) -> object:
    """The content of the hub's next message, which must be of the kind `wanted`."""
    while not (messages := connection.receive()):
        pass
    if "refused" in messages[0]:
        raise ConnectionRefusedError("it says that this is a worker of another job")
    if wanted not in messages[0]:
        raise ConnectionError("it is not the hub of a training job")
    connection.put_back(messages[1:])
    return messages[0][wanted]
