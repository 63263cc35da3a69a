"""The hub where parents meet: silence, strangers, a port that is taken."""

import contextlib
import json
import socket
import time

import pytest

from efficientvision.errors import UserError
from efficientvision.training import heartbeat, heartbeat_link
from efficientvision.training.cluster import Cluster
from efficientvision.training.heartbeat import Hub
from efficientvision.training.heartbeat_link import Connection
from efficientvision.training.job_key import proof

KEY = b"the job's key"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def cluster():
    return Cluster(("127.0.0.1:11", "127.0.0.1:12"), 0, free_port())


@pytest.fixture
def hub(cluster):
    hub = Hub(cluster, key=KEY, restarts=0, join_seconds=20)
    hub.start()
    yield hub
    hub.join(20)
    assert not hub.is_alive()


def connected(cluster):
    return Connection(socket.create_connection(("127.0.0.1", cluster.heartbeat_port)))


def joined(cluster, worker, *, restarts=0):
    """A connection that has joined as a worker of the job."""
    connection = connected(cluster)
    challenge = messages_until(connection, "challenge")["challenge"]
    connection.send(join=worker, restarts=restarts, proof=proof(KEY, challenge, worker))
    messages_until(connection, "joined")
    return connection


def messages_until(connection, key, *, beating=()):
    """Reads until a message has the key; meanwhile the others show life."""
    end = time.monotonic() + 20
    connection.socket.settimeout(0.1)
    while time.monotonic() < end:
        for each in beating:
            with contextlib.suppress(OSError):
                each.send(beat=1)
        try:
            messages = connection.receive()
            for number, message in enumerate(messages):
                if key in message:
                    connection.put_back(messages[number + 1 :])
                    return message
        except TimeoutError:
            continue
    raise AssertionError(f"no {key}")


def test_a_silent_worker_is_dead(cluster, hub, monkeypatch):
    one, _quiet = joined(cluster, 0), joined(cluster, 1)
    assert messages_until(one, "start") == {"start": 0}
    monkeypatch.setattr(heartbeat_link, "SILENCE_SECONDS", 1.0)
    stop = messages_until(one, "stop", beating=[one])
    assert stop["again"] is False
    assert stop["stop"].startswith("Worker 1 (127.0.0.1:12) died: no heartbeat for")


def test_strangers_do_no_harm(cluster, hub):
    for content in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"join": 9}\n', b'{"ended": 0}\n', b""):
        with socket.create_connection(("127.0.0.1", cluster.heartbeat_port)) as stranger:
            stranger.sendall(content)
    members = [joined(cluster, worker) for worker in range(2)]
    for member in members:
        member.send(ended=heartbeat.DONE, text="")
    for member in members:
        assert messages_until(member, "end")


def test_the_lowest_way_to_end_is_the_cause(cluster, hub, monkeypatch):
    monkeypatch.setattr(heartbeat, "SETTLE_SECONDS", 0.5)
    members = [joined(cluster, worker) for worker in range(2)]
    messages_until(members[0], "start")
    members[0].send(ended=heartbeat.CRASHED, text="failed")
    members[1].send(ended=heartbeat.ABORTED, text="aborted")
    for member in members:
        assert messages_until(member, "stop", beating=members)["stop"].endswith("aborted")


def test_a_restart_counts_those_that_a_new_first_worker_has_not_seen(cluster):
    hub = Hub(cluster, key=KEY, restarts=2, join_seconds=20)
    hub.start()
    members = [joined(cluster, 0), joined(cluster, 1, restarts=2)]
    assert messages_until(members[0], "start") == {"start": 2}
    members[1].send(ended=heartbeat.KILLED, text="died")
    assert messages_until(members[0], "stop")["again"] is False
    hub.join(20)


def test_a_hub_whose_name_nobody_knows_yet_listens_on_every_address():
    cluster = Cluster(("train-0.train:11", "train-1.train:12"), 0, free_port())
    hub = Hub(cluster, key=KEY, restarts=0, join_seconds=0.5)
    hub.start()
    member = joined(cluster, 0)
    text = messages_until(member, "stop")["stop"]
    assert text.startswith("Worker 1 (train-1.train:12) did not join within")
    hub.join(20)


def test_a_taken_port_is_told(cluster):
    with socket.create_server(("127.0.0.1", cluster.heartbeat_port)):
        with pytest.raises(UserError, match=f"port {cluster.heartbeat_port} .*`heartbeat_port`"):
            Hub(cluster, key=KEY, restarts=0, join_seconds=1)


def test_messages_arrive_whole_in_whatever_pieces(cluster):
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    text = json.dumps({"stop": "x" * 10}).encode() + b"\n"
    theirs.sendall(text[:5])
    assert connection.receive() == []
    theirs.sendall(text[5:] + b'{"beat": 1}\n')
    assert connection.receive() == [{"stop": "x" * 10}]
    theirs.close()
    with pytest.raises(OSError):
        connection.receive()
    connection.close()
