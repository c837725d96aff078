"""Writes down what happens in a training: metrics, events, status and checkpoints."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.checkpoint import MIB, plain, write_atomically
from adaptax.errors import StorageError
from adaptax.failpoints import reach
from adaptax.progress import say
from adaptax.runs.folder import read_config, read_lines
from adaptax.runs.run import Run, steps_per_meta_step

LOGS = ("metrics", "events")
FAILURES = 3  # checkpoints in a row that may fail to be written


class JsonLines:
    """A file of one JSON object a line. Where it cannot be written, lines wait in memory; none is left half done."""

    def __init__(self, path: Path | None):
        self.path, self._waiting = path, ""

    def add(self, line: dict[str, Any]) -> None:
        """Writes a line, and those that wait, or lets it wait too."""
        if self.path:
            self._waiting += json.dumps(plain(line), allow_nan=False) + "\n"
            self._write()

    def _write(self) -> None:
        assert self.path is not None
        end = None
        try:
            with self.path.open("a", encoding="utf-8") as file:
                end, half = file.tell(), len(self._waiting) // 2
                file.write(self._waiting[:half])
                file.flush()
                reach("metrics.mid_line")
                file.write(self._waiting[half:])
            self._waiting = ""
        except BaseException as error:  # also a second Ctrl-C: no line is left half done
            if end is not None:
                with suppress(OSError):
                    os.truncate(self.path, end)
            if not isinstance(error, OSError):
                raise

    def flush(self) -> bool:
        """Writes the lines that wait; whether none is left."""
        if self._waiting:
            self._write()
        return not self._waiting

    def end_line(self) -> None:
        """A line that a crash has torn gets its end, so that the next one stands on a line of its own."""
        if self.path and self.path.exists() and not self.path.read_bytes().endswith(b"\n"):
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def keep(self, last: int) -> None:
        """Drops the lines of later steps."""
        if self.path:
            kept = [json.dumps(line) + "\n" for line in read_lines(self.path) if line["step"] <= last]
            write_atomically(self.path, "".join(kept))


class RunLog:
    """Writes what happens into the run folder, and into the `history` of a run; without a folder only the latter."""

    def __init__(self, run: Run):
        self.folder, self.history, self.step = run.folder, run.history, run.step
        self.config, self._passed_over = run.folder and read_config(run.folder), run.passed_over
        self.leave_out = run.settings.on_nan != "stop"
        self.env_steps = steps_per_meta_step(run)
        self.line, self.before = run.line, run.seconds  # meta-step of the last line; seconds of earlier processes
        self.waiting, self.begun = run.waiting, time.monotonic()  # metrics `[S, n]` of the meta-steps since that line
        self.home = run.folder and run.folder / "checkpoints"
        self.metrics, self.events = (JsonLines(run.folder and run.folder / f"{name}.jsonl") for name in LOGS)
        self.metrics.keep(self.line)
        self.events.end_line()
        self.kept = checkpoints.steps(self.home) if self.home else []  # those that are whole
        self.failures = 0

    @property
    def seconds(self) -> float:
        """Taken by the training, in this process and in those before."""
        return self.before + time.monotonic() - self.begun

    def gather(self, step: int, metrics: dict[str, np.ndarray]) -> None:
        """Takes the metrics `[S, n]` of one chunk into the line that is written next."""
        if self.waiting:
            metrics = {name: np.concatenate([self.waiting[name], new], 1) for name, new in metrics.items()}
        self.waiting, self.step = metrics, step

    def write(self, validation: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """One line with the means `[S]` over all meta-steps since the last one; returns these."""
        means = {name: self.mean(found) for name, found in self.waiting.items()}
        line: dict[str, Any] = {"step": self.step, "env_steps": self.step * self.env_steps}
        line |= {"seconds": round(self.seconds, 3)}
        values = means if validation is None else means | {"validation": validation}
        line |= {name: value.tolist() if len(value) > 1 else float(value[0]) for name, value in values.items()}
        self.waiting, self.line = {}, self.step
        self.history.append(plain(line))
        self.metrics.add(line)
        return means

    def mean(self, found: np.ndarray) -> np.ndarray:
        """Means `[S]` of a metric `[S, n]` over n meta-steps, without those whose update was passed over."""
        if not self.leave_out:
            return found.mean(1, dtype=float)
        there = np.isfinite(found)
        return np.where(there, found, 0.0).sum(1, dtype=float) / np.where(there.any(1), there.sum(1), np.nan)

    def event(self, kind: str, step: int, **details: Any) -> None:
        """One line for whatever is worth knowing later."""
        self.events.add({"event": kind, "step": step, "time": time.time(), **details})

    def status(self, status: str, reason: str | None = None) -> None:
        """Where the run stands, and why where that needs saying."""
        if self.folder:
            info = {}
            with suppress(OSError, ValueError, TypeError, RecursionError):  # damaged: what else it held is lost
                info = dict(json.loads((self.folder / "run.json").read_text(encoding="utf-8")))
            info |= {"status": status, "reason": reason}
            info = {name: value for name, value in info.items() if value is not None}
            write_atomically(self.folder / "run.json", json.dumps(info, indent=1))

    def preflight(self, saved: Any, keep: int) -> None:
        """Before the first meta-step: a checkpoint can be written, is whole, and there is room for those to come.

        Raises:
            StorageError: it cannot, or there is none.
        """
        if self.home is None:
            return
        if not self.kept:
            self.checkpoint(saved, keep, must=True)
        files = checkpoints.verified(self.home / str(self.kept[-1]))["files"].values()
        more = max(1, keep + 1 - len(self.kept))  # a new one is written before an old one goes
        needed, free = more * sum(file["bytes"] for file in files), shutil.disk_usage(self.home).free
        if free < needed:
            raise StorageError(
                f"{self.folder} has {free / MIB:,.1f} MiB left on its disk, and {more} more checkpoint(s) need "
                f"{needed / MIB:,.1f} MiB: make room, or give another folder (out)"
            )

    def checkpoint(self, saved: Any, keep: int, must: bool = False) -> bool:
        """Saves everything, then drops the oldest checkpoints beyond `keep`; whether it could.

        One that cannot be written is passed over: those from before stay, and the next is tried in its turn.

        Raises:
            StorageError: it cannot be written and `must` be, or it is the third in a row.
        """
        if self.home is None:
            return True
        begun = time.monotonic()
        try:
            self.save(saved, self.step, self.waiting, self.notes)
        except OSError as error:
            self._failed(error, must)
            return False
        self.failures, self.kept = 0, [*(step for step in self.kept if step != self.step), self.step]
        self.event("checkpoint", self.step, seconds=round(time.monotonic() - begun, 3))
        try:
            if leftovers := checkpoints.prune(self.home, self.kept[-keep:]):
                self.event("leftovers removed", self.step, number=leftovers)
        except OSError as error:
            self.event("old checkpoints not removed", self.step, reason=str(error))
        return True

    def hold(self, run: Run) -> None:
        """Keeps at hand, in one assignment, what `rescue` may save; nothing in it needs to be computed any more."""
        self._passed_over = run.passed_over
        plain_keys = lambda leaf: jax.random.key_data(leaf) if checkpoints.is_key(leaf) else leaf
        self._held = jax.tree.map(plain_keys, run.saved), self.step, self.waiting, self.notes

    @property
    def notes(self) -> dict[str, Any]:
        """What a checkpoint of now says beside its numbers."""
        times = {"line": self.line, "seconds": round(self.seconds, 3)}
        return times | {"config": self.config, "passed_over": self._passed_over}

    def rescue(self) -> None:
        """Saves what is at hand while the main thread is busy, and writes down that the training was preempted."""
        with suppress(OSError):
            if self._held[1] not in self.kept:
                self.save(*self._held)
        with suppress(OSError):
            self.status("preempted")

    def save(self, saved: Any, step: int, waiting: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
        """One checkpoint.

        Raises:
            OSError: it cannot be written.
        """
        assert self.home is not None
        self.metrics.flush()
        checkpoints.save(self.home / str(step), saved, step, waiting, notes)

    def _failed(self, error: OSError, must: bool) -> None:
        self.failures += 1
        self.event("checkpoint failed", self.step, reason=str(error))
        kept = f"the last one is of meta-step {self.kept[-1]}" if self.kept else "there is none yet"
        words = f"no checkpoint of meta-step {self.step} in {self.folder}: {error.strerror or error}; {kept}"
        if must or self.failures >= FAILURES:
            raise StorageError(f"{words}. Make room on the disk, and go on with: adaptax resume {self.folder}")
        say(f"{words}; the next is tried in its turn")

    def close(self) -> None:
        """Says what could not be written."""
        for lines in (self.metrics, self.events):
            if lines.path and not lines.flush():
                say(f"the last lines of {lines.path} could not be written: the disk is full, or gone")
