"""Program: the parent of one worker of two in the tests of the supervisor.

Usage: watching_parent.py FOLDER PORT WORKER RESTARTS JOIN_SECONDS [CODE]. PORT is the heartbeat's;
0: a job of one worker.
"""

import pathlib
import sys

from efficientvision.errors import UserError
from efficientvision.training.cluster import Cluster
from efficientvision.training.supervisor import supervise

folder, port, worker, restarts, join_seconds, *code = sys.argv[1:]
cluster = Cluster(("127.0.0.1:11", "127.0.0.1:12"), int(worker), int(port))
child = pathlib.Path(__file__).with_name("watched_child.py")
try:
    sys.exit(
        supervise(
            [sys.executable, str(child), folder, worker, *code],
            cluster=cluster if int(port) else None,
            restarts=int(restarts),
            join_seconds=float(join_seconds),
            say=lambda sentence: print(sentence, flush=True),
        )
    )
except UserError as error:
    sys.exit(f"error: {error}")
