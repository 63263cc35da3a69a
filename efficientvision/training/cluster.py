"""The machines of a job, from `TF_CONFIG` or SLURM's variables, and the strategy they imply.

Does not import TensorFlow: the parent processes of a job (`supervisor`) use it, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from efficientvision.errors import UserError, as_command

STRATEGIES = ("none", "gpus", "multi_worker", "tpu")
# Offset from a worker's TensorFlow port to the port of the parents' heartbeat.
HEARTBEAT_OFFSET = 1000
_LAST_PORT = 65535
# Each job on a node gets its own range of ports, by job id: ports per job, first port, jobs.
_SLURM_PORTS = 64
_SLURM_FIRST_PORT = 10000
_SLURM_JOBS = 300


@dataclass(frozen=True)
class Cluster:
    """The workers of a job, and which one this process is.

    Attributes:
        workers: `host:port` of each worker's TensorFlow; the first is the chief.
        index: Index of this process in `workers`.
        heartbeat_port: Port on the chief's host through which the parents communicate.
    """

    workers: tuple[str, ...]
    index: int
    heartbeat_port: int

    @property
    def chief_host(self) -> str:
        """Host name or address of the chief."""
        return self.workers[0].rpartition(":")[0].strip("[]")

    def name(self, index: int) -> str:
        """Name of a worker in messages."""
        return f"Worker {index} ({self.workers[index]})"

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` that describes this cluster to TensorFlow."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that this process belongs to.

    Args:
        environment: Environment variables: `TF_CONFIG`, else those of a SLURM step (`srun`).

    Returns:
        The cluster; None for a single process, even if it is described as a cluster of one.

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
    """The name of the strategy; chosen from the available devices if it is None.

    Args:
        name: One of `STRATEGIES`; "" is "none"; None means choose.
        cluster: The job's workers, None for a single process.
        tpu: Whether a TPU was requested.
        gpus: Number of GPUs of this machine.

    Returns:
        One of `STRATEGIES`.

    Raises:
        UserError: The name is unknown, or its devices are not available.
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
        raise UserError(f"`strategy` must be one of {', '.join(STRATEGIES)}; got {name!r}.")
    if tpu and name != "tpu":
        raise UserError(f"`strategy={name}` excludes `tpu` and `use_tpu`: leave one of them out.")
    if name == "multi_worker" and cluster is None:
        raise UserError(
            "`strategy=multi_worker` needs at least two workers: set TF_CONFIG on each, or start "
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
            f"TF_CONFIG is malformed ({error}). Expected "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from None
    if not addresses:
        return None
    if "ps" in addresses:
        raise UserError("TF_CONFIG lists parameter servers (ps), which are not supported.")
    if kind == "evaluator":
        raise UserError(
            "TF_CONFIG makes this process an evaluator, which is not supported: start it with "
            "`mode=eval` instead."
        )
    workers = [*addresses.get("chief", []), *addresses.get("worker", [])]
    if not 0 <= index < len(addresses.get(kind, [])):
        raise UserError(
            f"TF_CONFIG's task is {kind} {index} (counted from 0), but its cluster has "
            f"{len(addresses.get(kind, []))} tasks of that type."
        )
    if kind == "worker":
        index += len(addresses.get("chief", []))
    for address in workers:
        if not re.fullmatch(r".+:\d+", address):
            raise UserError(f"TF_CONFIG: {address!r} is not of the form host:port.")
    if len(set(workers)) < len(workers):
        raise UserError(f"TF_CONFIG lists a worker twice: {', '.join(workers)}.")
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
        raise UserError(f"Cannot parse SLURM's variables: {error}.") from None
    if len(tasks) != len(hosts):
        raise UserError(
            f"SLURM_STEP_NODELIST lists {len(hosts)} nodes, but SLURM_STEP_TASKS_PER_NODE lists "
            f"{len(tasks)}: start the command with srun."
        )
    if environment.get("SLURM_DISTRIBUTION", "block").partition(":")[0] != "block" and any(
        count > 1 for count in tasks
    ):
        raise UserError(
            "SLURM does not assign tasks to nodes in blocks (SLURM_DISTRIBUTION="
            f"{environment['SLURM_DISTRIBUTION']}): use "
            f"{as_command('srun', distribution='block')}, or one task per node."
        )
    if max(tasks) >= _SLURM_PORTS:
        raise UserError(
            f"SLURM: {max(tasks)} tasks on one node are too many; start one task per node."
        )
    first = _SLURM_FIRST_PORT + job % _SLURM_JOBS * _SLURM_PORTS
    workers = tuple(
        f"{host}:{first + local}"
        for host, count in zip(hosts, tasks, strict=True)
        for local in range(count)
    )
    if index >= len(workers):
        raise UserError(
            f"SLURM_PROCID is {index} (counted from 0), but the step has {len(workers)} tasks."
        )
    return Cluster(workers, index, first + _SLURM_PORTS - 1)


def expand_hosts(text: str) -> list[str]:
    """Expands a SLURM host list: `n[1-2,07],login` -> n1, n2, n07, login.

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
    """Expands SLURM's short form of tasks per node: `3(x2),1` -> 3, 3, 1.

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
