"""Handles Ctrl-C and SIGTERM while a video is written: the first one stops gracefully."""

from __future__ import annotations

import contextlib
import signal
import threading


class Interruption:
    """A context that only notes the first Ctrl-C or SIGTERM; a second one interrupts at once.

    Does nothing outside the main thread, because only that may set signal handlers.

    Attributes:
        noted: whether a signal has arrived.
    """

    def __init__(self) -> None:
        self.noted = False

    def __enter__(self) -> Interruption:
        self._closing = contextlib.ExitStack()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # Ignored on purpose, as `nohup` and background jobs do.
                if signal.getsignal(number) is signal.SIG_IGN:
                    continue
                before = signal.signal(number, self._note)
                self._closing.callback(signal.signal, number, before)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def _note(self, number: int, frame: object) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
