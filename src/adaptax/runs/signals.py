"""Signals that ask a training to end: answered between chunks, and in time even where a chunk is not."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 8.0  # seconds that SIGTERM leaves the chunk under way; schedulers kill after 30
AT_ONCE = 1.0  # the same for a second signal
EXITS: dict[int, int] = {signal.SIGTERM: 75, signal.SIGINT: 130}  # exit codes: preempted, interrupted


@contextmanager
def listening(rescue: Callable[[], None]) -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of dying of them; only in the main thread, and only while inside.

    Whoever listens looks at what is collected whenever it can. While the main thread computes or compiles it cannot,
    and Python calls no handler: so a thread waits for the signals too. When the grace is over and nobody has looked, it
    calls `rescue`, and the process ends.

    Args:
        rescue: Writes down what it can; called in another thread.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(number: int, frame: Any) -> None:
        del frame
        if heard:
            raise KeyboardInterrupt
        heard.append(number)
        os.write(2, b"\nends after the chunk under way, and saves; once more ends at once and saves nothing\n")

    before = {number: signal.signal(number, hear) for number in EXITS}
    with _watched(heard, rescue):
        try:
            yield heard
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _watched(heard: list[int], rescue: Callable[[], None]) -> Iterator[None]:
    """A thread that sees signals come while the main thread is busy."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    usual = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    timers: list[threading.Timer] = []

    def end(come: int, code: int) -> None:
        if len(heard) < come:  # else the main thread knows, and is about to end
            rescue()
            os._exit(code)

    def watch() -> None:
        come = 0
        while number := os.read(reader, 1):
            code = EXITS.get(number[0])
            come += code is not None
            if code and (come > 1 or number[0] == signal.SIGTERM):
                timers.append(threading.Timer(AT_ONCE if come > 1 else GRACE, end, (come, code)))
                timers[-1].daemon = True
                timers[-1].start()
        os.close(reader)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(usual)
        os.close(writer)  # ends the thread
        for timer in timers:
            timer.cancel()
