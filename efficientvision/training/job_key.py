"""The key by which a job's workers authenticate each other: a secret in the run's folder.

The folder is shared by the workers and by nobody who may not read the run. Worker 0 writes the
secret once; the key also depends on the job's addresses, so that two jobs do not mix.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.training.cluster import Cluster

SECRET_NAME = ".heartbeat_secret"
_SECRET_BYTES = 32


def make_key(cluster: Cluster, model_dir: AnyPath | None) -> bytes:
    """The key, for worker 0: writes the secret if the folder has none.

    Args:
        cluster: The job.
        model_dir: The run's folder; None means derive the key from the addresses alone, which keeps
            out other jobs' workers but not an attacker.

    Raises:
        OSError: The folder is not writable.
    """
    if model_dir is not None and not files.is_file(_path(model_dir)):
        _write(model_dir, secrets.token_hex(_SECRET_BYTES))
    return read_key(cluster, model_dir)


def read_key(cluster: Cluster, model_dir: AnyPath | None) -> bytes:
    """The key, for any worker.

    Raises:
        OSError: Worker 0 has not written the secret yet, or the folder is not shared.
    """
    secret = "" if model_dir is None else files.read_text(_path(model_dir)).strip()
    if model_dir is not None and len(secret) < _SECRET_BYTES:
        raise OSError(f"{_path(model_dir)} contains no secret")
    return hashlib.sha256("\n".join([secret, *cluster.workers]).encode()).digest()


def proof(key: bytes, challenge: str, worker: int) -> str:
    """The answer to a challenge, which only a holder of the key can compute."""
    return hmac.new(key, f"{challenge} {worker}".encode(), hashlib.sha256).hexdigest()


def _path(model_dir: AnyPath) -> str:
    return files.join(model_dir, SECRET_NAME)


def _write(model_dir: AnyPath, secret: str) -> None:
    if files.is_remote(model_dir):
        files.write_text(_path(model_dir), secret)
        return
    files.make_folder(model_dir)
    # A previous worker 0 that is about to die may write it, too: the first one counts.
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(_path(model_dir), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
