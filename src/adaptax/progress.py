"""Progress on screen: plain lines, nothing at all for `Silent`."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol, runtime_checkable

import numpy as np

Show = Callable[[int, dict[str, np.ndarray], np.ndarray | None], None]


@runtime_checkable
class Progress(Protocol):
    """Somewhere that progress can be shown."""

    def training(self, start: int, meta_steps: int, env_steps: int) -> AbstractContextManager[Show]:
        """Entered before the first chunk; what it yields is called after each one."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def training(self, start: int, meta_steps: int, env_steps: int) -> Iterator[Show]:
        """Nothing."""
        del start, meta_steps, env_steps
        yield lambda step, metrics, validation: None


class Pulse:
    """Within `with`, a sign of life on standard error wherever nothing else was said for so many seconds."""

    def __init__(self, doing: str, seconds: float = 10.0):
        self.doing, self.seconds = doing, seconds
        self._begun = self._said = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def now(self, doing: str) -> None:
        """What is done from here on; something else was said just now."""
        self.doing, self._said = doing, time.monotonic()

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._over.wait(max(0.01, self._said + self.seconds - time.monotonic())):
            if (now := time.monotonic()) - self._said >= self.seconds:
                say(f"{self.doing} ({now - self._begun:.0f} s so far)")
                self._said = now


class Lines:
    """One plain line every few seconds on standard error; the last line is always shown."""

    def __init__(self, title: str = "", seconds: float = 2.0, patience: float = 10.0):
        self.title, self.seconds, self.patience = title, seconds, patience

    @contextmanager
    def training(self, start: int, meta_steps: int, env_steps: int) -> Iterator[Show]:
        """Names the compile phase, then steps, speed, return and time left."""
        begun = ready = last = time.monotonic()
        before, compiled, judged = start, None, None
        if self.title:
            say(self.title)
        todo = f"compiling; then meta-steps {start} to {meta_steps} of {env_steps:,} environment steps each"
        say(todo if start < meta_steps else f"all {meta_steps} meta-steps are done already; nothing is left to do")

        def show(step: int, metrics: dict[str, np.ndarray], validation: np.ndarray | None) -> None:
            nonlocal ready, last, before, compiled, judged
            now, judged = time.monotonic(), judged if validation is None else validation
            pulse.now(f"still at work behind meta-step {step}")
            if compiled is None:
                say(f"compiled, and the first {step - start} meta-step(s) done in {now - begun:.1f} s")
                ready = last = now
                compiled = before = step
                return
            if step < meta_steps and now - last < self.seconds:
                return
            rate, pace = ((step - x) / max(now - t, 1e-9) for x, t in ((before, last), (compiled, ready)))
            words = [f"meta-step {step}/{meta_steps}"]
            words += [f"{name} {value.mean():.3f}" for name, value in metrics.items() if "return" in name]
            if judged is not None:  # also where the validation fell between two lines
                words.append(f"validation {judged.mean():.3f}")
            words += [f"{rate * env_steps:,.0f} steps/s", f"{(meta_steps - step) / pace:.0f} s left"]
            say("  ".join(words))
            last, before, judged = now, step, None

        with Pulse("still compiling, or in the first meta-step", self.patience) as pulse:
            yield show


LINES = Lines()


def answer(result: str) -> None:
    """The result on standard output, where somebody may read no more: `adaptax list | head -1`."""
    _print(result)


def say(line: str) -> None:
    """One line on standard error, at once; nobody needs to be there to read it."""
    _print(line, to_error=True)


def _print(text: str, to_error: bool = False) -> None:
    """Where nobody reads any more, what is left to say goes nowhere: else Python fails over it at its end."""
    stream = sys.stderr if to_error else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
