"""`main.py` as two processes: a parent that supervises, and a child that trains."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import traceback
from collections.abc import Iterator

from efficientvision.cli import is_users_mistake
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.training.cluster import Cluster, find_cluster
from efficientvision.training.supervisor import (
    CRASH_CODE,
    PARENT_SOCKET,
    end_with_parent,
    supervise,
)


def run_as_parent(options: RunOptions) -> int | None:
    """Starts this program again as a child and supervises it, if the job needs that.

    Jobs of several workers, or with `--restarts`, need it. Imports no TensorFlow, so the parent
    stays small.

    Returns:
        The child's exit code; None if this process is to do the work itself (it is the child, or
        there is nothing to supervise).

    Raises:
        UserError: The flags or the cluster are invalid, or a worker died for good.
    """
    if PARENT_SOCKET in os.environ:
        end_with_parent()
        return None
    for name in ("restarts", "join_timeout"):
        if getattr(options, name) < 0:
            raise UserError(f"--{name} must not be negative, got {getattr(options, name)}.")
    cluster = _cluster(options)
    if cluster is None and not options.restarts:
        return None
    if not options.model_dir:
        raise UserError("--model_dir is missing: workers and restarts need the folder's name.")
    return supervise(
        [sys.executable, *sys.orig_argv[1:]],
        cluster=cluster,
        restarts=options.restarts,
        join_seconds=options.join_timeout,
        model_dir=options.model_dir,
        say=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )


def _cluster(options: RunOptions) -> Cluster | None:
    """The cluster that this process trains in; None for a single worker."""
    trains = options.mode in ("train", "train_and_eval")
    elsewhere = options.use_tpu or options.tpu or options.cpu_replicas > 1
    if not trains or elsewhere or options.strategy not in (None, "multi_worker"):
        return None
    cluster = find_cluster(os.environ)
    if cluster is None or options.heartbeat_port is None:
        return cluster
    return dataclasses.replace(cluster, heartbeat_port=options.heartbeat_port)


@contextlib.contextmanager
def ending_for_parent() -> Iterator[None]:
    """In a child, turns a bug into its own exit code, and exits without waiting for other workers.

    Does nothing in a process without a parent.
    """
    try:
        yield
    except Exception as error:
        if PARENT_SOCKET not in os.environ or is_users_mistake(error):
            raise
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(CRASH_CODE)
