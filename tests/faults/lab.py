"""Breaks trainings in processes of their own, and says what is left of them.

python tests/faults/lab.py train FOLDER LEARNER [SECONDS]    # killed so long after its run has begun
python tests/faults/lab.py resume FOLDER LEARNER
python tests/faults/lab.py cli COMMAND WORD ...
"""

import dataclasses
import faulthandler
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]
import adaptax as ax  # noqa: E402
import conftest  # noqa: E402, F401 (the same flags of the compiler: the same numbers)
from adaptax import cli, testing  # noqa: E402
from adaptax.checkpoint import to_arrays  # noqa: E402
from adaptax.failpoints import VARIABLE  # noqa: E402
from adaptax.registry import LEARNERS  # noqa: E402
from adaptax.runs import read_lines  # noqa: E402
from tiny import BANDIT, GRID, RL2  # noqa: E402

STACKS = "ADAPTAX_TEST_STACKS"
STEPS: Any = {"meta_steps": 12, "log_every": 3, "validate_every": 6, "checkpoint_every": 2}
MANY: Any = {"meta_steps": 200, "log_every": 7, "validate_every": 50, "checkpoint_every": 10}
HERE = Path(__file__)


def train(out: Path | None = None) -> ax.Run:
    """The training that nearly everything here breaks: lines and checkpoints fall on different meta-steps."""
    return ax.train(RL2, BANDIT, out=out, progress=None, **STEPS)


def train_long(out: Path, learner: str) -> ax.Run:
    """A training of any registered learner, long enough to be killed anywhere in it."""
    made = LEARNERS[learner]()
    kept = {name: x for name, x in vars(made).items() if name == "epochs"}  # several do not go with every other setting
    return ax.train(dataclasses.replace(testing.small(made), **kept), GRID, out=out, progress=None, **MANY)


_kept = tempfile.TemporaryDirectory()


def whole(learner: str = "") -> ax.Run:
    """The same trainings, unbroken."""
    return _whole(learner)


@cache
def _whole(learner: str) -> ax.Run:
    folder = Path(_kept.name) / (learner or "whole")
    return train_long(folder, learner) if learner else train(folder)


def process(what: str, folder: Path, learner: str = "", *, failpoint: str = "", kill_after: float | None = None):
    """The same training, or its resumption, in a process that meets a failpoint or is killed after some time."""
    words = [sys.executable, str(HERE), what, str(folder), learner, *([] if kill_after is None else [str(kill_after)])]
    environment = os.environ | {VARIABLE: failpoint}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)


def state_hash(run: ax.Run) -> str:
    """SHA-256 over path, type, shape and bytes of every leaf of the training state."""
    digest = hashlib.sha256()
    for name, array in sorted(to_arrays(run.saved).items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def lines_of(folder: Path | None) -> list[dict]:
    """`metrics.jsonl` without wall-clock times."""
    assert folder is not None
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(folder / "metrics.jsonl")]


def goes_on_unbroken(folder: Path, learner: str = "") -> None:
    """Resumes, and asserts that state and lines are those of the training that nobody broke, bit for bit."""
    assert state_hash(ax.resume(folder, progress=None)) == state_hash(whole(learner))
    assert lines_of(folder) == lines_of(whole(learner).folder)
    assert leftovers(folder) == []


def memory(kind: str = "VmRSS") -> int:
    """Bytes of this process's memory, by one of the names that Linux has for its kinds."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def leftovers(folder: Path) -> list[str]:
    """What has no business in a folder of checkpoints."""
    return [path.name for path in (folder / "checkpoints").iterdir() if not path.name.isdigit()]


def kill_after(folder: Path, seconds: float) -> None:
    """Kills this process so long after its run has begun."""
    while not (folder / "config.json").exists():
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def main(what: str, folder: str, learner: str, *more: str) -> None:
    """The process that is broken. Ctrl-C reaches it, also where a shell started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if more and what != "cli":
        threading.Thread(target=kill_after, args=[Path(folder), float(more[0])], daemon=True).start()
    if what == "cli":
        if stacks := os.environ.get(STACKS):  # where a crash says where it was, also when its terminal is gone
            faulthandler.enable(open(stacks, "w"))  # noqa: SIM115 (open to the end)
        if os.isatty(0):
            os.close(os.open(os.ttyname(0), os.O_RDWR))  # from now on it is the terminal of this session
        cli.main([folder, learner, *more])
    elif what == "resume":
        ax.resume(folder, progress=None)
    elif learner:
        train_long(Path(folder), learner)
    else:
        train(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
