"""Whoever reaches the hub's port without the job's key ends neither the job nor its watch."""

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import socket
import stat
import threading

import pytest

from efficientvision.errors import UserError
from efficientvision.training import heartbeat, heartbeat_link, job_key
from efficientvision.training.cluster import Cluster
from efficientvision.training.heartbeat import Hub
from efficientvision.training.heartbeat_link import Connection
from tests.training.test_heartbeat import KEY, connected, free_port, joined, messages_until


@pytest.fixture
def cluster():
    return Cluster(("127.0.0.1:11", "127.0.0.1:12"), 0, free_port())


@pytest.fixture
def hub(cluster):
    hub = Hub(cluster, key=KEY, restarts=0, join_seconds=60)
    hub.start()
    yield hub
    hub.join(20)
    assert not hub.is_alive()


@pytest.fixture
def members(cluster, hub):
    """Two workers of a job that runs."""
    members = [joined(cluster, worker) for worker in range(2)]
    for member in members:
        messages_until(member, "start")
    return members


def assert_still_watches(members):
    """The job has not been ended, and the death of a worker is noticed."""
    for member in members:
        member.send(beat=1)
    members[1].close()
    stop = messages_until(members[0], "stop", beating=members[:1])
    assert stop["stop"].startswith("Worker 1 (127.0.0.1:12) died: its connection was closed")


MESSAGES = [
    b"[" * 60_000 + b"\n",
    b'{"a":' * 12_000 + b"\n",
    b'{"join": 1e999, "restarts": 0, "proof": ""}\n',
    b'{"join": 1, "restarts": 1e999, "proof": ""}\n',
    b'{"join": NaN, "restarts": 0, "proof": ""}\n',
    b'{"join": null, "restarts": [], "proof": {}}\n',
    b'{"join": ' + b"9" * 5000 + b', "restarts": 0, "proof": ""}\n',
    b'{"join": 1, "restarts": 0}\n',
    b'{"join": 1, "restarts": 0, "proof": "' + b"\xc3\xa4" * 32 + b'"}\n',
    b'{"join": 1, "restarts": 0, "proof": ""}\n',
    b'{"ended": 6, "text": "failed"}\n',
    b'{"beat": 1}\n' * 100,
    b"7\n",
    b"[1]\n",
    b'"join"\n',
    b"\xff\xfe\x00\n",
    b"x" * 200_000,
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]


@pytest.mark.parametrize("content", MESSAGES, ids=range(len(MESSAGES)))
def test_messages_of_strangers_do_no_harm(cluster, members, content):
    with socket.create_connection(("127.0.0.1", cluster.heartbeat_port)) as stranger:
        with contextlib.suppress(OSError):
            stranger.sendall(content)
            stranger.shutdown(socket.SHUT_WR)
            stranger.settimeout(10)
            while stranger.recv(1 << 16):
                pass
    assert_still_watches(members)


def test_nobody_joins_with_another_jobs_key(cluster, members):
    stranger = connected(cluster)
    challenge = messages_until(stranger, "challenge")["challenge"]
    for_other = job_key.proof(KEY, challenge, 0)
    stranger.send(join=1, restarts=0, proof=for_other)
    assert messages_until(stranger, "refused")
    assert_still_watches(members)


def test_an_answer_serves_once(cluster, members):
    """Whoever overheard one cannot repeat it."""
    overheard = job_key.proof(KEY, messages_until(connected(cluster), "challenge")["challenge"], 1)
    stranger = connected(cluster)
    stranger.send(join=1, restarts=0, proof=overheard)
    assert messages_until(stranger, "refused")
    assert_still_watches(members)


def test_a_flood_of_idle_connections_takes_no_workers_place(cluster, hub):
    flood = [connected(cluster) for _ in range(120)]
    members = [joined(cluster, worker) for worker in range(2)]
    flood += [connected(cluster) for _ in range(120)]
    for member in members:
        messages_until(member, "start", beating=members)
    assert len(hub._nameless) <= len(cluster.workers) + heartbeat._MOST_STRANGERS
    assert_still_watches(members)
    for connection in flood:
        connection.close()


def test_strangers_are_sent_away_in_time(cluster, members, monkeypatch):
    monkeypatch.setattr(heartbeat, "_STRANGER_SECONDS", 0.2)
    stranger = connected(cluster)
    messages_until(stranger, "challenge")
    stranger.socket.settimeout(10)
    with pytest.raises(ConnectionResetError):
        stranger.receive()
    assert_still_watches(members)


def test_a_process_without_room_for_connections_goes_on(cluster, members, monkeypatch):
    """As many files open as may be: accept fails, and the workers are still watched."""

    failed = threading.Event()

    def full(hub):
        failed.set()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Hub, "_take_connection", full)
    with connected(cluster).socket:
        assert failed.wait(10)
        assert_still_watches(members)


def test_a_hub_that_ends_by_a_defect_is_noticed(cluster, monkeypatch):
    hub = Hub(cluster, key=KEY, restarts=0, join_seconds=60)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    hub.start()
    member = joined(cluster, 0)
    monkeypatch.setattr(hub, "_look_after", lambda: 1 / 0)
    member.socket.settimeout(10)
    with pytest.raises(OSError):
        while True:
            member.receive()
    hub.join(10)


# The address.


def test_the_hub_listens_where_the_cluster_says():
    assert heartbeat_link.own_address("localhost") == "127.0.0.1"
    assert heartbeat_link.own_address("127.0.0.1") == "127.0.0.1"
    assert heartbeat_link.own_address("no-such-host.invalid") is None
    assert heartbeat_link.own_address("192.0.2.7") is None  # Of no machine.
    assert heartbeat_link.own_address("127.0.1.1") is None  # Debian's name for this machine.


def test_a_name_of_one_own_address_is_that(monkeypatch):
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    monkeypatch.setattr(heartbeat_link.ipaddress, "ip_address", lambda _: _Public())
    assert heartbeat_link.own_address("train-0") == "127.0.0.1"
    cluster = Cluster(("train-0:11", "train-1:12"), 0, free_port())
    hub = Hub(cluster, key=KEY, restarts=0, join_seconds=1)
    assert hub._listener.getsockname()[0] == "127.0.0.1"
    hub._listener.close()


class _Public:
    is_loopback = False


# The key.


def test_the_secret_is_written_once_and_for_its_owner_alone(tmp_path, cluster):
    folder = tmp_path / "new" / "run"
    key = job_key.make_key(cluster, folder)
    path = folder / job_key.SECRET_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text()
    assert len(secret) == 64
    assert job_key.make_key(cluster, folder) == key == job_key.read_key(cluster, folder)
    assert path.read_text() == secret


def test_keys_differ_by_folder_and_by_addresses(tmp_path, cluster):
    keys = {
        job_key.make_key(cluster, tmp_path / "a"),
        job_key.make_key(cluster, tmp_path / "b"),
        job_key.make_key(Cluster(("h:1", "h:2"), 0, 3), tmp_path / "a"),
        job_key.make_key(cluster, None),
    }
    assert len(keys) == 4


def test_a_worker_without_the_secret_is_told_at_the_end(tmp_path, cluster, hub):
    """Its folder is another: the sentence says what all workers must share."""

    def key():
        return job_key.read_key(cluster, tmp_path)

    second = dataclasses.replace(cluster, index=1)
    with pytest.raises(UserError, match="the same model_dir on a disk that all share"):
        heartbeat_link.join(second, key=key, restarts=0, seconds=0)
    pathlib.Path(tmp_path, job_key.SECRET_NAME).write_text("short")
    with pytest.raises(UserError, match="contains no secret"):
        heartbeat_link.join(second, key=key, restarts=0, seconds=0)
    os.remove(tmp_path / job_key.SECRET_NAME)
    job_key.make_key(cluster, tmp_path)
    with pytest.raises(UserError, match="it says that this is a worker of another job"):
        heartbeat_link.join(second, key=key, restarts=0, seconds=0)
    members = [joined(cluster, worker) for worker in range(2)]
    for member in members:
        member.send(ended=heartbeat.DONE, text="")


def test_a_worker_that_comes_before_the_secret_waits(tmp_path, cluster):
    second = dataclasses.replace(cluster, index=1)
    found = []

    def worker():
        link = heartbeat_link.join(
            second, key=lambda: job_key.read_key(cluster, tmp_path), restarts=0, seconds=30
        )
        found.extend(json.dumps(m) for m in link.receive())
        link.send(ended=heartbeat.DONE, text="")

    thread = threading.Thread(target=worker)
    thread.start()
    key = job_key.make_key(cluster, tmp_path)
    hub = Hub(cluster, key=key, restarts=0, join_seconds=30)
    hub.start()
    link = heartbeat_link.join(cluster, key=lambda: key, restarts=0, seconds=30)
    assert isinstance(link, Connection)
    messages_until(link, "start")
    link.send(ended=heartbeat.DONE, text="")
    thread.join(20)
    hub.join(20)
    assert found == ['{"start": 0}']
