"""The run folder: what is in it, making it, and reading it.

run.json          id, status, versions, devices, command; why it failed, where it did
config.json       learner, environment and settings: enough to build the run again
metrics.jsonl     one line a log point; the source of truth of every curve
events.jsonl      validations, checkpoints, what went wrong
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

from adaptax.checkpoint import write_atomically
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
        for tries_left in range(10, -1, -1):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not tries_left:
                    file.seek(0)
                    raise RunBusyError(f"{folder} is in use by {file.read()}; wait for it, or end it first") from error
                time.sleep(0.02)  # `user_of` looks at the lock, and is gone in an instant
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def user_of(folder: Path) -> str | None:
    """The process that keeps a run folder for itself, in words; None where there is none. Nothing is written."""
    try:
        with (folder / ".lock").open(encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # until the file is closed, at once
            except BlockingIOError:
                return file.read() or "another process"
    except OSError:
        return None
    return None


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
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        found = [f.parent for home in {folder, Path("runs")} for f in home.glob("*/config.json")]
        newest = sorted(found, key=lambda run: run.stat().st_mtime)[-3:]
        remedy = f"the newest runs are {', '.join(map(str, newest))}" if newest else "`adaptax train` makes one"
        raise CheckpointError(f"{folder} is not a run folder: it has no readable config.json; {remedy}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file, each with its "step"; one that was torn or damaged is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with suppress(ValueError, RecursionError):
            line = json.loads(text)
            lines += [line] if isinstance(line, dict) and isinstance(line.get("step"), int) else []
    return lines


def folder_name(learner: str, env: str) -> Path:
    """`runs/<learner>-<environment>-<time>-<8 hex>`: no two are alike."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Path("runs") / f"{learner}-{env}-{moment}-{secrets.token_hex(4)}"
