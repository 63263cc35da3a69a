"""Ctrl-C and SIGTERM during training: the first stops it cleanly, a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

# The same signal repeated within this many seconds is the same request.
_SAME_SECONDS = 1.0
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is only recorded.

    Clouds and clusters send SIGTERM before they take a machine away. The training loop checks
    `signal` between calls of the compiled step, writes a checkpoint and stops. A second signal ends
    the process at once.

    Python runs signal handlers only between its own instructions, so not during a compiled call,
    which may take minutes, and signals that arrive meanwhile are merged into one. A thread that
    reads the interpreter's wake-up pipe sees each of them immediately.

    Outside the main thread, the only one that may set handlers, the context does nothing.

    Args:
        say: Called with a line for the user.
    """

    def __init__(self, say: Callable[[str], None]):
        self.signal: int | None = None
        self._noted = 0.0
        self._say = say

    @property
    def name(self) -> str:
        """Name of the signal."""
        return _NAMES.get(self.signal, f"signal {self.signal}")

    def __enter__(self) -> Interruption:
        self._closing = contextlib.ExitStack()
        if threading.current_thread() is not threading.main_thread():
            return self
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True)
        watcher.start()
        # Undone in reverse order: the thread ends when the other end of the pipe is closed.
        self._closing.callback(os.close, reader)
        self._closing.callback(watcher.join)
        self._closing.callback(os.close, writer)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._closing.callback(signal.set_wakeup_fd, before)
        for number in _NAMES:
            # Ignored on purpose, as `nohup` and background jobs do.
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            # Python writes to the pipe only for signals that have a handler.
            handler = signal.signal(number, lambda number, frame: None)
            self._closing.callback(signal.signal, number, handler)
        return self

    def __exit__(self, *error) -> None:
        self._closing.close()

    def _watch(self, reader: int) -> None:
        while numbers := os.read(reader, 64):
            for number in numbers:
                if number in _NAMES:
                    self._note(number)

    def _note(self, number: int) -> None:
        if self.signal is not None:
            # Terminals and clusters signal every process of a job, and the parent forwards it too.
            if number == self.signal and time.monotonic() - self._noted < _SAME_SECONDS:
                return
            os._exit(128 + number)
        self.signal = number
        self._noted = time.monotonic()
        self._say(
            f"{self.name}: finishing the current steps and saving a checkpoint. Send it again to "
            "quit at once."
        )
