"""Ctrl-C and SIGTERM during training: a first one asks for the end, a second one is the end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

# The same signal again within so many seconds is the same request.
_SAME_SECONDS = 1.0
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is only noted.

    Clouds and clusters send SIGTERM before they take a machine away. Who trains looks at `signal`
    between two calls, writes a checkpoint and ends. A second signal ends the process at once.

    Python runs signal handlers between two of its own instructions, so not while a compiled call of
    minutes runs; signals that come meanwhile count as one. A thread that reads the interpreter's
    wake-up pipe sees each of them at once.

    Outside the main thread, which alone may set handlers, the context does nothing.

    Args:
        say: Takes a line for the user.
    """

    def __init__(self, say: Callable[[str], None]):
        self.signal: int | None = None
        self._noted = 0.0
        self._say = say

    @property
    def name(self) -> str:
        """The signal in words."""
        return _NAMES.get(self.signal, f"signal {self.signal}")

    def __enter__(self) -> Interruption:
        self._closing = contextlib.ExitStack()
        if threading.current_thread() is not threading.main_thread():
            return self
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True)
        watcher.start()
        # Undone from the last to the first: the thread ends when the pipe's other end is closed.
        self._closing.callback(os.close, reader)
        self._closing.callback(watcher.join)
        self._closing.callback(os.close, writer)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._closing.callback(signal.set_wakeup_fd, before)
        for number in _NAMES:
            # Ignored on purpose, as `nohup` and background jobs do.
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            # Something must be installed for the pipe to be written to.
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
            # A terminal and a cluster tell every process of a job, and a parent passes it on.
            if number == self.signal and time.monotonic() - self._noted < _SAME_SECONDS:
                return
            os._exit(128 + number)
        self.signal = number
        self._noted = time.monotonic()
        self._say(
            f"{self.name}: the running steps end, then a checkpoint is written. Once more ends "
            "the program at once."
        )
