"""Ctrl-C and SIGTERM while a video is written: a first one asks for the end."""

from __future__ import annotations

import contextlib
import signal
import threading


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is only noted; a second one ends at once.

    Outside the main thread, which alone may set handlers, the context does nothing.

    Attributes:
        noted: a signal came.
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
