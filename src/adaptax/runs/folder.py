"""The run folder: making it, reading it, and writing down what happens in a training.

run.json          id, status, versions, devices, command; why it failed, where it did
config.json       learner, environment and settings: enough to build the run again
metrics.jsonl     one line a log point; the source of truth of every curve
events.jsonl      validations, checkpoints, failures
checkpoints/<step>/
.lock             the process that trains it
eval/*.json       results of `evaluate`
adapted/*         agents kept by `adapt`
"""

import fcntl
import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.checkpoint import plain, write_atomically
from adaptax.errors import CheckpointError, RunBusyError

SCHEMA = 1


def create_folder(folder: Path, config: dict[str, Any]) -> None:
    """Makes the run folder with `run.json` and `config.json`.

    Raises:
        RunBusyError: it exists already.
        OSError: it cannot be made there.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise RunBusyError(
            f"{folder} exists already; give another one (out), or go on with: adaptax resume {folder}"
        ) from error
    info = {
        "id": folder.name,
        "status": "created",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": [Path(sys.argv[0]).name.replace("__main__.py", "adaptax"), *sys.argv[1:]],
        "versions": {name: version(name) for name in ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy")},
        "python": platform.python_version(),
        "devices": [str(device) for device in jax.devices()],
        "cores": os.cpu_count(),
    }
    (folder / "checkpoints").mkdir()
    (folder / "eval").mkdir()
    write_atomically(folder / "config.json", json.dumps({"schema": SCHEMA} | config, indent=1))
    write_atomically(folder / "run.json", json.dumps(info, indent=1))


@contextmanager
def in_use(folder: Path | None) -> Iterator[None]:
    """Keeps a run folder for this process. The lock is the kernel's: whatever way a process ends, it ends with it.

    Raises:
        RunBusyError: another process has it; the message says which.
    """
    if folder is None:
        yield
        return
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise RunBusyError(f"{folder} is in use by {file.read()}; wait for it, or end it first") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def read_config(folder: str | Path) -> dict[str, Any]:
    """`config.json` of a run folder.

    Raises:
        CheckpointError: the folder is no run.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["schema"] > SCHEMA:
            raise CheckpointError(f"{folder} was written by a newer version; update adaptax")
        for what in ("learner", "environment"):
            if not isinstance(config[what]["name"], str) or not isinstance(config[what]["fields"], dict):
                raise ValueError(f"{what} has no name or no fields")
        return {name: config[name] for name in ("learner", "environment", "settings")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = [f.parent for home in {folder, Path("runs")} for f in home.glob("*/config.json")]
        newest = sorted(found, key=lambda run: run.stat().st_mtime)[-3:]
        remedy = f"the newest runs are {', '.join(map(str, newest))}" if newest else "`adaptax train` makes one"
        raise CheckpointError(f"{folder} is not a run folder: it has no readable config.json; {remedy}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file, each with its "step"; one that was torn or damaged is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with suppress(ValueError):
            line = json.loads(text)
            lines += [line] if isinstance(line, dict) and isinstance(line.get("step"), int) else []
    return lines


def folder_name(learner: str, env: str) -> Path:
    """`runs/<learner>-<environment>-<time>-<8 hex>`: no two are alike."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Path("runs") / f"{learner}-{env}-{moment}-{secrets.token_hex(4)}"


class RunLog:
    """Writes what happens into the run folder, and into the `history` of a run; without a folder only the latter."""

    def __init__(self, folder: Path | None, history: list[dict[str, Any]], step: int, env_steps: int):
        self.folder, self.history, self.step, self.env_steps = folder, history, step, env_steps
        self.before = history[-1]["seconds"] if history else 0.0
        self._waiting: list[tuple[int, dict[str, np.ndarray]]] = []  # meta-steps and their mean metrics
        self._latest: dict[str, Any] = {}
        if folder:
            self._drop_lines(folder / "metrics.jsonl")
            self._end_line(folder / "events.jsonl")

    def gather(self, step: int, metrics: dict[str, np.ndarray], validation: np.ndarray | None, seconds: float) -> None:
        """Takes the metrics of one chunk into the line that is written next."""
        self._waiting.append((step - self.step, metrics))
        self._latest = {"seconds": seconds} | ({} if validation is None else {"validation": validation})
        self.step = step

    def write(self) -> None:
        """One line with the means over all that was gathered since the last one; none where nothing was."""
        if not self._waiting:
            return
        counts, gathered = zip(*self._waiting, strict=True)
        values = {name: np.average([m[name] for m in gathered], 0, counts) for name in gathered[0]}
        line = {"step": self.step, "env_steps": self.step * self.env_steps}
        line |= {"seconds": round(self.before + self._latest.pop("seconds"), 3)}
        values |= self._latest
        line |= {name: value.tolist() if len(value) > 1 else float(value[0]) for name, value in values.items()}
        self._waiting = []
        self.history.append(plain(line))
        self._append("metrics.jsonl", line)

    def event(self, kind: str, step: int, **details: Any) -> None:
        """One line for whatever is worth knowing later."""
        self._append("events.jsonl", {"event": kind, "step": step, "time": time.time(), **details})

    def status(self, status: str, reason: str | None = None) -> None:
        """Where the run stands, and why where that needs saying."""
        if self.folder:
            info = {}
            with suppress(ValueError):  # damaged: what else it held is lost
                info = dict(json.loads((self.folder / "run.json").read_text(encoding="utf-8")))
            info |= {"status": status, "reason": reason}
            info = {name: value for name, value in info.items() if value is not None}
            write_atomically(self.folder / "run.json", json.dumps(info, indent=1))

    def checkpoint(self, saved: Any, keep: int) -> None:
        """Saves everything, then drops the oldest checkpoints beyond `keep`.

        The line under way is written as well: a training that goes on from here begins a new one.
        """
        self.write()
        if not self.folder:
            return
        home = self.folder / "checkpoints"
        checkpoints.save(home / str(self.step), saved, self.step)
        self.event("checkpoint", self.step)
        checkpoints.prune(home, keep)

    def _append(self, name: str, line: dict[str, Any]) -> None:
        if self.folder:
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(plain(line), allow_nan=False) + "\n")

    def _end_line(self, path: Path) -> None:
        """A line that a crash has torn gets its end, so that the next event stands on a line of its own."""
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def _drop_lines(self, path: Path) -> None:
        """Drops the lines written after the checkpoint that training goes on from."""
        kept = [json.dumps(line) + "\n" for line in read_lines(path) if line["step"] <= self.step]
        write_atomically(path, "".join(kept))
