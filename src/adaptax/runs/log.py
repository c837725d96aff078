"""Writes down what happens in a training: metrics, events, status and checkpoints."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.checkpoint import MIB, plain, write_atomically
from adaptax.errors import StorageError
from adaptax.failpoints import reach
from adaptax.progress import say
from adaptax.runs.folder import read_lines

FAILURES = 3  # checkpoints in a row that may fail to be written


class JsonLines:
    """A file of one JSON object a line. Where it cannot be written, lines wait in memory; none is left half done."""

    def __init__(self, path: Path | None):
        self.path, self._waiting = path, ""

    def add(self, line: dict[str, Any]) -> None:
        """Writes a line, and those that wait, or lets it wait too."""
        if self.path is None:
            return
        self._waiting += json.dumps(plain(line), allow_nan=False) + "\n"
        end = None
        try:
            with self.path.open("a", encoding="utf-8") as file:
                end, half = file.tell(), len(self._waiting) // 2
                file.write(self._waiting[:half])
                file.flush()
                reach("metrics.mid_line")
                file.write(self._waiting[half:])
            self._waiting = ""
        except OSError:
            if end is not None:
                with suppress(OSError):
                    os.truncate(self.path, end)

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

    def __init__(
        self,
        folder: Path | None,
        history: list[dict[str, Any]],
        step: int,
        env_steps: int,
        waiting: dict[str, np.ndarray] | None = None,
    ):
        self.folder, self.history, self.step, self.env_steps = folder, history, step, env_steps
        self.before = history[-1]["seconds"] if history else 0.0
        self.waiting = waiting or {}  # metrics `[S, n]` of the meta-steps since the last line
        self.seconds = 0.0
        self.metrics, self.events = (JsonLines(folder and folder / f"{name}.jsonl") for name in ("metrics", "events"))
        self.metrics.keep(step)
        self.events.end_line()
        self.home = folder and folder / "checkpoints"
        self.kept = checkpoints.steps(self.home) if self.home else []  # those that are whole
        self.failures = 0

    def gather(self, step: int, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Takes the metrics `[S, n]` of one chunk into the line that is written next."""
        joined = {name: np.concatenate([self.waiting[name], new], 1) for name, new in metrics.items() if self.waiting}
        self.waiting, self.step, self.seconds = joined or metrics, step, seconds

    def write(self, validation: np.ndarray | None = None) -> None:
        """One line with the means over all meta-steps since the last one; none where there were none."""
        if not self.waiting:
            return
        values = {name: found.mean(1, dtype=float) for name, found in self.waiting.items()}
        values |= {} if validation is None else {"validation": validation}
        line: dict[str, Any] = {"step": self.step, "env_steps": self.step * self.env_steps}
        line |= {"seconds": round(self.before + self.seconds, 3)}
        line |= {name: value.tolist() if len(value) > 1 else float(value[0]) for name, value in values.items()}
        self.waiting = {}
        self.history.append(plain(line))
        self.metrics.add(line)

    def event(self, kind: str, step: int, **details: Any) -> None:
        """One line for whatever is worth knowing later."""
        self.events.add({"event": kind, "step": step, "time": time.time(), **details})

    def status(self, status: str, reason: str | None = None) -> None:
        """Where the run stands, and why where that needs saying."""
        if self.folder:
            info = {}
            with suppress(ValueError):  # damaged: what else it held is lost
                info = dict(json.loads((self.folder / "run.json").read_text(encoding="utf-8")))
            info |= {"status": status, "reason": reason}
            info = {name: value for name, value in info.items() if value is not None}
            write_atomically(self.folder / "run.json", json.dumps(info, indent=1))

    def preflight(self, saved: Any) -> None:
        """Before the first meta-step: a checkpoint can be written, is whole, and there is room for the next.

        Raises:
            StorageError: it cannot, or there is none.
        """
        if self.home is None:
            return
        if not self.kept:
            self.checkpoint(saved, 1, must=True)
        newest = self.home / str(self.kept[-1])
        files = checkpoints.verified(newest)["files"].values()
        needed, free = 2 * sum(file["bytes"] for file in files), shutil.disk_usage(self.home).free
        if free < needed:
            raise StorageError(
                f"{self.folder} has {free / MIB:,.1f} MiB left on its disk, and two checkpoints need "
                f"{needed / MIB:,.1f} MiB: make room, or give another folder (out)"
            )

    def checkpoint(self, saved: Any, keep: int, must: bool = False) -> None:
        """Saves everything, then drops the oldest checkpoints beyond `keep`.

        One that cannot be written is passed over: those from before stay, and the next is tried in its turn.

        Raises:
            StorageError: it cannot be written and `must` be, or it is the third in a row.
        """
        if self.home is None:
            return
        begun = time.monotonic()
        try:
            checkpoints.save(self.home / str(self.step), saved, self.step, self.waiting)
        except OSError as error:
            self._failed(error, must)
            return
        self.failures, self.kept = 0, [*(step for step in self.kept if step != self.step), self.step]
        self.event("checkpoint", self.step, seconds=round(time.monotonic() - begun, 3))
        if leftovers := checkpoints.prune(self.home, self.kept[-keep:]):
            self.event("leftovers removed", self.step, number=leftovers)

    def _failed(self, error: OSError, must: bool) -> None:
        self.failures += 1
        self.event("checkpoint failed", self.step, reason=str(error))
        kept = f"the last one is of meta-step {self.kept[-1]}" if self.kept else "there is none yet"
        words = f"no checkpoint of meta-step {self.step} in {self.folder}: {error.strerror or error}; {kept}"
        if must or self.failures >= FAILURES:
            raise StorageError(f"{words}. Make room on the disk, and go on with: adaptax resume {self.folder}")
        say(f"{words}; the next is tried in its turn")
