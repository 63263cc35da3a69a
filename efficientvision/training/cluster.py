"""The machines of a job, from `TF_CONFIG` or SLURM's variables, and the strategy that they imply.

Imports no TensorFlow: the parent processes of a job (`supervisor`) know their peers from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from efficientvision.errors import UserError

STRATEGIES = ("none", "gpus", "multi_worker", "tpu")
# From a worker's TensorFlow port to that of the parents' heartbeat.
HEARTBEAT_OFFSET = 1000
_LAST_PORT = 65535
# Jobs of one node get ports of their own by their number: so many ports each, for so many jobs.
_SLURM_PORTS = 64
_SLURM_FIRST_PORT = 10000
_SLURM_JOBS = 300


@dataclass(frozen=True)
class Cluster:
    """Workers of a job and which of them this process is.

    Attributes:
        workers: `host:port` of each worker's TensorFlow; the first is the chief.
        index: This process's place in `workers`.
        heartbeat_port: Port on the chief's host where the parents meet.
    """

    workers: tuple[str, ...]
    index: int
    heartbeat_port: int

    @property
    def chief_host(self) -> str:
        """Name or address of the chief's machine."""
        return self.workers[0].rpartition(":")[0].strip("[]")

    def name(self, index: int) -> str:
        """How a worker is called in messages."""
        return f"Worker {index} ({self.workers[index]})"

    def tf_config(self) -> str:
        """The cluster as TensorFlow wants it in the variable `TF_CONFIG`."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that a process was started in.

    Args:
        environment: Environment variables: `TF_CONFIG`, else those of a SLURM step (`srun`).

    Returns:
        The cluster; None for a process on its own, a cluster of one included.

    Raises:
        UserError: The variables are malformed or contradict each other.
    """
    if environment.get("TF_CONFIG", "").strip():
        cluster = _from_tf_config(environment["TF_CONFIG"])
    elif environment.get("SLURM_STEP_NODELIST") and "SLURM_PROCID" in environment:
        cluster = _from_slurm(environment)
    else:
        return None
    return cluster if cluster is not None and len(cluster.workers) > 1 else None


def choose_strategy(
    name: str | None, *, cluster: Cluster | None = None, tpu: bool = False, gpus: int = 0
) -> str:
    """The strategy's name, where it was not given from what is there.

    Args:
        name: One of `STRATEGIES`; "" is "none"; None: choose.
        cluster: The job's workers, None for a process on its own.
        tpu: Whether a TPU was asked for.
        gpus: GPUs of this machine.

    Returns:
        One of `STRATEGIES`.

    Raises:
        UserError: The name is unknown, or needs what is not there.
    """
    if name == "":
        name = "none"
    if name is None:
        if tpu:
            return "tpu"
        if cluster is not None:
            return "multi_worker"
        return "gpus" if gpus > 1 else "none"
    if name not in STRATEGIES:
        raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}; got {name!r}.")
    if tpu and name != "tpu":
        raise UserError(f"`strategy={name}` excludes `tpu` and `use_tpu`: leave one of them out.")
    if name == "multi_worker" and cluster is None:
        raise UserError(
            "`strategy=multi_worker` needs two workers or more: set TF_CONFIG on each, or start "
            "the command with srun (SLURM) and more than one task."
        )
    return name


def _from_tf_config(text: str) -> Cluster | None:
    try:
        content = json.loads(text)
        groups = content.get("cluster", {})
        task = content.get("task", {})
        kind, index = str(task.get("type", "worker")), int(task.get("index", 0))
        addresses = {name: [str(a) for a in group] for name, group in groups.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"TF_CONFIG is malformed ({error}): it looks like "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from None
    if not addresses:
        return None
    if "ps" in addresses:
        raise UserError("TF_CONFIG names parameter servers (ps), which this program does not use.")
    if kind == "evaluator":
        raise UserError(
            "TF_CONFIG makes this process an evaluator: start it with `mode=eval` instead."
        )
    workers = [*addresses.get("chief", []), *addresses.get("worker", [])]
    if not 0 <= index < len(addresses.get(kind, [])):
        raise UserError(
            f"TF_CONFIG's task is {kind} {index}, and its cluster has "
            f"{len(addresses.get(kind, []))} of that type."
        )
    if kind == "worker":
        index += len(addresses.get("chief", []))
    for address in workers:
        if not re.fullmatch(r".+:\d+", address):
            raise UserError(f"TF_CONFIG: {address!r} is not written host:port.")
    if len(set(workers)) < len(workers):
        raise UserError(f"TF_CONFIG names a worker twice: {', '.join(workers)}.")
    port = int(workers[0].rpartition(":")[2])
    shift = HEARTBEAT_OFFSET if port + HEARTBEAT_OFFSET <= _LAST_PORT else -HEARTBEAT_OFFSET
    return Cluster(tuple(workers), index, port + shift)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    try:
        hosts = expand_hosts(environment["SLURM_STEP_NODELIST"])
        tasks = expand_counts(environment.get("SLURM_STEP_TASKS_PER_NODE", "1"))
        index = int(environment["SLURM_PROCID"])
        job = int(environment.get("SLURM_JOB_ID", "0"))
    except ValueError as error:
        raise UserError(f"SLURM's variables are not understood: {error}.") from None
    if len(tasks) != len(hosts):
        raise UserError(
            f"SLURM_STEP_NODELIST names {len(hosts)} nodes and SLURM_STEP_TASKS_PER_NODE "
            f"{len(tasks)}: start the command with srun."
        )
    if environment.get("SLURM_DISTRIBUTION", "block").partition(":")[0] != "block" and any(
        count > 1 for count in tasks
    ):
        raise UserError(
            "SLURM deals the tasks out in turn (SLURM_DISTRIBUTION="
            f"{environment['SLURM_DISTRIBUTION']}): use srun --distribution=block, or one task "
            "a node."
        )
    if max(tasks) >= _SLURM_PORTS:
        raise UserError(f"SLURM: {max(tasks)} tasks on a node; start one task for each node.")
    first = _SLURM_FIRST_PORT + job % _SLURM_JOBS * _SLURM_PORTS
    workers = tuple(
        f"{host}:{first + local}"
        for host, count in zip(hosts, tasks, strict=True)
        for local in range(count)
    )
    if index >= len(workers):
        raise UserError(f"SLURM_PROCID is {index}, and the step has {len(workers)} tasks.")
    return Cluster(workers, index, first + _SLURM_PORTS - 1)


def expand_hosts(text: str) -> list[str]:
    """The hosts of a SLURM list: `n[1-2,07],login` -> n1, n2, n07, login.

    Raises:
        ValueError: The list is malformed.
    """
    hosts: list[str] = []
    items = re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text)
    if not items or ",".join(items) != text:
        raise ValueError(f"{text!r} is not a list of hosts")
    for item in items:
        parts = re.split(r"\[([^\]]*)\]", item)
        names = [parts[0]]
        for ranges, rest in zip(parts[1::2], parts[2::2], strict=True):
            names = [name + number + rest for name in names for number in _numbers(ranges)]
        hosts += names
    return hosts


def _numbers(ranges: str) -> list[str]:
    numbers = []
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} is not a range of numbers")
        first, last = match[1], match[2] or match[1]
        numbers += [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return numbers


def expand_counts(text: str) -> list[int]:
    """Tasks of each node, of SLURM's short form: `3(x2),1` -> 3, 3, 1.

    Raises:
        ValueError: The text is malformed.
    """
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            raise ValueError(f"{part!r} is not a number of tasks")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts
