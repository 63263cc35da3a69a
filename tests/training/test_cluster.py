"""Who the workers are, by TF_CONFIG and SLURM, and which strategy follows."""

import json

import pytest

from efficientvision.errors import UserError
from efficientvision.training.cluster import (
    Cluster,
    choose_strategy,
    expand_counts,
    expand_hosts,
    find_cluster,
)

TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


def tf_config(kind="worker", index=0, **groups):
    return {
        "TF_CONFIG": json.dumps(
            {"cluster": groups or {"worker": TWO}, "task": {"type": kind, "index": index}}
        )
    }


def slurm(procid, nodes="n[1-2]", tasks="2(x2)", **more):
    return {
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "SLURM_PROCID": str(procid),
        "SLURM_JOB_ID": "7",
        **more,
    }


def test_tf_config_names_the_workers():
    cluster = find_cluster(tf_config(index=1))
    assert cluster == Cluster(tuple(TWO), 1, 3222)
    assert cluster.name(1) == "Worker 1 (10.0.0.2:2222)"
    assert cluster.chief_host == "10.0.0.1"


def test_a_chief_comes_before_the_workers():
    groups = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    assert find_cluster(tf_config("chief", 0, **groups)).index == 0
    last = find_cluster(tf_config("worker", 1, **groups))
    assert last.workers == ("a:1", "b:1", "c:1")
    assert last.index == 2


def test_what_the_child_gets_means_the_same():
    for environment in (tf_config(index=1), slurm(3)):
        cluster = find_cluster(environment)
        again = find_cluster({"TF_CONFIG": cluster.tf_config()})
        assert (again.workers, again.index) == (cluster.workers, cluster.index)


def test_heartbeats_have_a_port_below_the_last_one():
    assert find_cluster(tf_config(worker=["a:65000", "b:65000"])).heartbeat_port == 64000


def test_an_ipv6_host_loses_its_brackets():
    assert find_cluster(tf_config(worker=["[fd00::1]:22", "[fd00::2]:22"])).chief_host == "fd00::1"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": ""},
        {"TF_CONFIG": "{}"},
        tf_config(worker=["10.0.0.1:2222"]),
        slurm(0, "n1", "1"),
        # A batch script, not started by srun, has a rank and no step.
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "n[1-2]"},
    ],
)
def test_a_process_on_its_own(environment):
    assert find_cluster(environment) is None


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TF_CONFIG": "{'cluster'"}, "malformed"),
        ({"TF_CONFIG": "[1]"}, "malformed"),
        (tf_config(index=2), "worker 2"),
        (tf_config(ps=["a:1"], worker=TWO), "parameter servers"),
        (tf_config("evaluator", 0), "`mode=eval`"),
        (tf_config(worker=["a", "b"]), "'a' is not of the form host:port"),
        (tf_config(worker=["a:1", "a:1"]), "twice"),
        (slurm(4), "SLURM_PROCID is 4"),
        (slurm(0, "n[1-"), "n\\[1-"),
        (slurm(0, "n[1-3]"), "3 nodes"),
        (slurm(0, tasks="x"), "number of tasks"),
        (slurm(0, SLURM_DISTRIBUTION="cyclic"), "--distribution=block"),
        (slurm(0, tasks="64(x2)"), "64 tasks"),
    ],
)
def test_contradictions_are_told(environment, says):
    with pytest.raises(UserError, match=says):
        find_cluster(environment)


def test_slurm_names_every_task_with_a_port_of_its_own():
    cluster = find_cluster(slurm(2))
    hosts = [address.partition(":")[0] for address in cluster.workers]
    ports = [int(address.partition(":")[2]) for address in cluster.workers]
    assert hosts == ["n1", "n1", "n2", "n2"]
    assert ports[0] == ports[2] and ports[1] == ports[3] == ports[0] + 1
    assert cluster.index == 2
    assert cluster.heartbeat_port not in ports


def test_jobs_of_one_node_have_different_ports():
    one, other = (find_cluster(slurm(0, SLURM_JOB_ID=job)) for job in ("7", "8"))
    ports = [
        {int(a.partition(":")[2]) for a in cluster.workers} | {cluster.heartbeat_port}
        for cluster in (one, other)
    ]
    assert not ports[0] & ports[1]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("login", "login"),
        ("n1,n2", "n1 n2"),
        ("n[1-3]", "n1 n2 n3"),
        ("n[08-10,12],m5", "n08 n09 n10 n12 m5"),
        ("rack[1-2]-n[1,3]", "rack1-n1 rack1-n3 rack2-n1 rack2-n3"),
    ],
)
def test_host_lists(text, hosts):
    assert expand_hosts(text) == hosts.split()


def test_task_counts():
    assert expand_counts("3(x2),1") == [3, 3, 1]


CLUSTER = Cluster(tuple(TWO), 0, 3222)


@pytest.mark.parametrize(
    ("name", "there", "strategy"),
    [
        (None, {}, "none"),
        (None, {"gpus": 1}, "none"),
        (None, {"gpus": 2}, "gpus"),
        (None, {"gpus": 2, "cluster": CLUSTER}, "multi_worker"),
        (None, {"tpu": True, "cluster": CLUSTER}, "tpu"),
        ("", {"gpus": 2}, "none"),
        ("none", {"cluster": CLUSTER}, "none"),
        ("gpus", {"gpus": 1}, "gpus"),
        ("multi_worker", {"cluster": CLUSTER}, "multi_worker"),
        ("tpu", {}, "tpu"),
    ],
)
def test_strategy(name, there, strategy):
    assert choose_strategy(name, **there) == strategy


@pytest.mark.parametrize(
    ("name", "there", "says"),
    [
        ("cpu", {}, "multi_worker"),
        ("gpus", {"tpu": True}, "`tpu`"),
        ("multi_worker", {}, "TF_CONFIG"),
    ],
)
def test_strategies_that_cannot_be(name, there, says):
    with pytest.raises(UserError, match=says):
        choose_strategy(name, **there)
