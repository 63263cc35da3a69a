"""Allows one training at a time in a run's folder, by holding `run.lock` in it.

Whether the holder is alive is decided by the strongest evidence available:

1. On this machine, by the process: it must exist with that id and start time and hold the operating
   system's lock on the file (nobody does in a copy of a run's folder). For another container on
   this machine, by that lock alone, which ends with its process.
2. On another machine, also by the operating system's lock, if the file system shares locks between
   machines (NFS from version 4, Lustre, GPFS and others do).
3. Otherwise by the file itself, which its holder rewrites every `BEAT_SECONDS`. A holder on another
   machine is dead if it has not done so for `OLD_SECONDS`, or does not while it is watched for
   `WATCH_SECONDS`. Clocks that differ cost time, not safety.

So a dead run never blocks a folder. One case goes undetected: two runs that start within a second
on different machines, in a folder without locks (remote stores). The run whose lock is overwritten
stops when it notices, at its next checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

try:
    import fcntl
except ImportError:  # Not Unix: only the file's content decides.
    fcntl = None

log = logging.getLogger(__name__)

LOCK_NAME = "run.lock"
BEAT_SECONDS = 15.0
WATCH_SECONDS = 40.0
OLD_SECONDS = 180.0
_LOOK_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that holds a folder.

    Attributes:
        host: Host name of its machine.
        machine: Identifies the machine, and its current boot.
        space: Namespace of its process id (containers have their own).
        process: Its process id.
        began: When it started, as the machine counts; distinguishes it from later ones of that id.
        start: When it took the folder, for humans.
        token: A random identifier of this holder.
    """

    host: str
    machine: str
    space: str
    process: int
    began: str
    start: str
    token: str

    @classmethod
    def of_this_process(cls) -> Holder:
        """This process, with a new token."""
        return cls(
            host=socket.gethostname(),
            machine=_machine(),
            space=_space(),
            process=os.getpid(),
            began=_began(os.getpid()),
            start=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            token=os.urandom(8).hex(),
        )

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.start}"


class RunLock:
    """A context in which only this process trains in a folder.

    Args:
        model_dir: The run's folder; created if missing.
        say: Called with a line for the user.

    Attributes:
        folder: The run's folder.

    Raises:
        UserError: On entry, if another live process trains there; the message names it.
    """

    def __init__(self, model_dir: AnyPath, say: Callable[[str], None] = log.info):
        self.folder = files.as_text(model_dir)
        self._path = files.join(model_dir, LOCK_NAME)
        self._say = say
        self._own = Holder.of_this_process()
        self._file: int | None = None
        self._ended = threading.Event()
        self._writing = threading.Lock()

    def __enter__(self) -> RunLock:
        self._made = not files.exists(self.folder)
        if not self._made and not files.is_folder(self.folder):
            raise UserError(f"`model_dir={self.folder}` is a file, and a run needs a folder.")
        files.make_folder(self.folder)
        self._take()
        try:
            self._beat()
        except BaseException:
            self._close()
            raise
        self._thread = threading.Thread(target=self._go_on_beating, name="run lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            if self._is_mine():
                files.remove(self._path)
            if self._made and not files.list_names(self.folder):
                files.remove_folder(self.folder)  # The run wrote nothing.
        self._close()

    def check(self) -> bool:
        """Makes sure that this process still holds the folder; returns whether its lock was gone.

        A folder that was deleted meanwhile is created and locked again.

        Raises:
            UserError: Another process has taken the folder.
        """
        holder = _read(self._path)
        if holder is not None and holder.token != self._own.token and not self._is_mine():
            raise UserError(
                f"{self.folder} was taken over by another training ({holder}) while this one was "
                "suspended. This one stops, so that the two do not mix. Choose another `model_dir` "
                "for one of them."
            )
        if files.is_file(self._path):
            return False
        with self._writing:
            self._close()
            files.make_folder(self.folder)
            self._take()
        self._beat()
        return True

    def _take(self) -> None:
        """Acquires the lock, or raises an error that names its holder."""
        while True:
            locked = self._lock_file()
            if locked is False:
                time.sleep(_LOOK_SECONDS)  # The holder may be about to write its name.
            holder = _read(self._path)
            alive = locked is False if holder is None else self._is_alive(holder, locked)
            if alive:
                self._close()
                raise UserError(
                    f"Another training runs in {self.folder}"
                    f"{f' ({holder})' if holder else ''}: their checkpoints would mix. Wait for "
                    "it, stop it, or choose another `model_dir`."
                )
            if locked is not False:
                return
            # The process is dead, but a child of it still has the file open.
            self._close()
            files.remove(self._path)

    def _lock_file(self) -> bool | None:
        """Opens and locks the file; False if another process holds it, None without locks."""
        if files.is_remote(self._path) or fcntl is None:
            return None
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                return None  # The file system has no locks.
            if self._is_open_file():
                return True
            self._close()  # Its holder has ended and removed it meanwhile.

    def _is_open_file(self) -> bool:
        """Whether the open file is still the one at this path."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _is_alive(self, holder: Holder, locked: bool | None) -> bool:
        here = self._own
        if holder.machine == here.machine and (here.machine or holder.host == here.host):
            if holder.space == here.space:
                # If this process got the lock, no living process holds it: the file is a copy.
                return locked is not True and _began(holder.process) == holder.began != ""
            if locked is not None:
                return not locked
        elif locked is False:
            return True
        return self._goes_on_beating_elsewhere(holder)

    def _goes_on_beating_elsewhere(self, holder: Holder) -> bool:
        """Watches whether the holder rewrites the file."""
        before = _beat_of(self._path)
        if abs(time.time() - before) > OLD_SECONDS:
            return False
        self._say(
            f"{self.folder} was last used by {holder}. Checking for up to {WATCH_SECONDS:.0f} s "
            "whether that training is still running."
        )
        end = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            if _beat_of(self._path) not in (before, 0.0):
                return True
        return False

    def _beat(self) -> None:
        """Writes the holder and the current time."""
        text = json.dumps({**dataclasses.asdict(self._own), "beat": time.time()}, indent=1) + "\n"
        with self._writing:
            if self._file is None:
                files.write_text(self._path, text)
                return
            # Into the open file, because a renamed new one would not be locked.
            os.pwrite(self._file, text.encode(), 0)
            os.ftruncate(self._file, len(text.encode()))
            os.fsync(self._file)  # Only then do network file systems show it to others.

    def _go_on_beating(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # A full disk or a deleted folder is reported by training at its next checkpoint.
            with contextlib.suppress(OSError):
                if self._is_mine():
                    self._beat()

    def _is_mine(self) -> bool:
        """Whether the file at this path is the lock of this process."""
        if self._file is not None:
            return self._is_open_file()
        holder = _read(self._path)
        return holder is not None and holder.token == self._own.token

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _content(path: str) -> dict:
    """Content of a lock file; empty if it is missing, being written, or damaged."""
    try:
        content = json.loads(files.read_bytes(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(path: str) -> Holder | None:
    content = _content(path)
    names = [field.name for field in dataclasses.fields(Holder)]
    if not all(isinstance(content.get(name), int if name == "process" else str) for name in names):
        return None
    return Holder(**{name: content[name] for name in names})


def _beat_of(path: str) -> float:
    beat = _content(path).get("beat")
    return float(beat) if isinstance(beat, (int, float)) else 0.0


def _text(path: str) -> str:
    try:
        return files.read_text(path).strip()
    except OSError:
        return ""


def _machine() -> str:
    return _text("/proc/sys/kernel/random/boot_id")


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _began(process: int) -> str:
    """When a process started; empty if there is no such process, or it is dead."""
    if not os.path.isdir("/proc/self"):
        return _began_without_proc(process)
    # "pid (name) state ...": the name may contain anything, so parse after its end.
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _began_without_proc(process: int) -> str:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:
        pass
    return "unknown"
