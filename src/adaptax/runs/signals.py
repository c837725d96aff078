"""Signals that ask a training to end: answered between chunks, and in time even where a chunk is not."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

GRACE = 8.0  # seconds that SIGTERM and SIGHUP leave the main thread; schedulers kill after 30
AT_ONCE = 1.0  # the same for a second signal
SAME = 0.05  # a signal that comes again so soon was sent once, to the process and to its group
EXITS: dict[int, int] = {signal.SIGTERM: 75, signal.SIGINT: 130}  # exit codes: preempted, interrupted
if hasattr(signal, "SIGHUP"):
    EXITS[signal.SIGHUP] = 129  # the terminal is gone


class Heard:
    """What came: the numbers of the signals, and whether the main thread is already ending because of them."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.answered = threading.Event()
        self.latest = -SAME

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def hear(self, number: int, frame: Any) -> None:
        """Python's handler; the second signal interrupts."""
        del frame
        now, before = time.monotonic(), self.latest
        self.latest = now
        if self.numbers and now - before > SAME:
            raise KeyboardInterrupt
        if not self.numbers:
            self.numbers.append(number)
            with suppress(OSError):  # nobody may be there to read it
                os.write(2, b"\nends after the chunk under way, and saves; once more ends at once\n")


@contextmanager
def listening(rescue: Callable[[], None] | None) -> Iterator[Heard]:
    """Collects SIGTERM, SIGHUP and SIGINT instead of dying of them; only in the main thread, and only while inside.

    Whoever listens looks at what is collected whenever it can, and says that it `answered`. While the main thread
    computes, compiles or simulates it cannot: so a thread waits for the signals too. When the grace is over and nobody
    has answered, it calls `rescue`, and the process ends.

    Args:
        rescue: Writes down what it can, called in another thread; None where nothing can be: then nobody is hurried.
    """
    heard = Heard()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    now = {number: signal.getsignal(number) for number in EXITS}
    before = {number: handler for number, handler in now.items() if handler != signal.SIG_IGN}  # nohup has them ignored
    try:
        for number in before:
            signal.signal(number, heard.hear)
        if rescue is None:
            yield heard
        else:
            with _watched(heard, rescue):
                yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watched(heard: Heard, rescue: Callable[[], None]) -> Iterator[None]:
    """A thread that sees signals come while the main thread is busy."""
    over = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    usual = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    timers: list[threading.Timer] = []

    def end(code: int) -> None:
        if not (heard.answered.is_set() or over.is_set()):
            try:
                rescue()
            finally:
                os._exit(code)

    def watch() -> None:
        latest, come = -SAME, 0
        while number := os.read(reader, 1):
            now = time.monotonic()
            if number[0] not in EXITS or now - latest < SAME:
                continue
            latest, come = now, come + 1
            if come > 1 or number[0] != signal.SIGINT:
                timers.append(threading.Timer(AT_ONCE if come > 1 else GRACE, end, [EXITS[number[0]]]))
                timers[-1].daemon = True
                timers[-1].start()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _watching.append(watcher)
    try:
        yield
    finally:
        over.set()
        _watching.remove(watcher)
        signal.set_wakeup_fd(usual)
        os.close(writer)  # ends the thread
        watcher.join()
        os.close(reader)
        for timer in timers:
            timer.cancel()
        for timer in timers:  # none may still run while the interpreter ends, and a rescue under way is waited for
            timer.join()


_watching: list[threading.Thread] = []


def _in_child() -> None:
    """The child of a fork shares the pipe; but its signals are its own, and end it."""
    if _watching:
        signal.set_wakeup_fd(-1)
        for number in EXITS:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)
