"""Where there is no TPU, one sentence says so, and soon."""

import socket
import threading

import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training import tpu
from efficientvision.training.tpu import check_cores, tpu_strategy

RESOLVER = "TPUClusterResolver"


@pytest.fixture
def no_metadata(monkeypatch):
    """Google's metadata server is an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{port}")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_name_that_nobody_knows(no_metadata):
    with pytest.raises(UserError, match="^No TPU named mine can be reached .*`tpu_zone`"):
        tpu_strategy("mine")


def test_zone_and_project_are_named(no_metadata):
    with pytest.raises(UserError, match="named mine in zone here of project ours can"):
        tpu_strategy("mine", "here", "ours")


def test_an_address_where_nobody_listens(no_metadata):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UserError, match=f"grpc://127.0.0.1:{port} can"):
        tpu_strategy(f"grpc://127.0.0.1:{port}")


def test_a_machine_without_one():
    with pytest.raises(UserError, match="no TPU on this machine"):
        tpu_strategy(None)


def test_a_lookup_that_never_answers_is_given_up(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(tpu, "LOOKUP_SECONDS", 0.1)
    monkeypatch.setattr(tf.distribute.cluster_resolver, RESOLVER, lambda *arguments: never.wait(20))
    with pytest.raises(UserError, match="no answer within"):
        tpu_strategy("mine")
    never.set()


def test_another_number_of_cores_is_told():
    strategy = tf.distribute.get_strategy()
    check_cores(strategy, 1)
    with pytest.raises(UserError, match="`num_cores=8`.* 1 core:"):
        check_cores(strategy, 8)
