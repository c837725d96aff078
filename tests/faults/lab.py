"""Breaks trainings in processes of their own, and says what is left of them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]
import adaptax as ax  # noqa: E402
import conftest  # noqa: E402, F401 (the same flags of the compiler: the same numbers)
from adaptax.checkpoint import to_arrays  # noqa: E402
from adaptax.failpoints import VARIABLE  # noqa: E402
from adaptax.runs import read_lines  # noqa: E402
from tiny import BANDIT, RL2  # noqa: E402

STEPS: dict[str, Any] = {"meta_steps": 12, "log_every": 3, "validate_every": 6, "checkpoint_every": 2}
HERE = Path(__file__)


def train(out: Path | None = None) -> ax.Run:
    """The training that everything here breaks: lines and checkpoints fall on different meta-steps."""
    return ax.train(RL2, BANDIT, out=out, progress=None, **STEPS)


def broken(folder: Path, failpoint: str, what: str = "train") -> subprocess.CompletedProcess[str]:
    """The same training (or its resumption) in a process that meets a failpoint."""
    environment = os.environ | {VARIABLE: failpoint}
    words = [sys.executable, str(HERE), what, str(folder)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def state_hash(run: ax.Run) -> str:
    """SHA-256 over path, type, shape and bytes of every leaf of the training state."""
    digest = hashlib.sha256()
    for name, array in sorted(to_arrays(run.saved).items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def lines_of(folder: Path) -> list[dict]:
    """`metrics.jsonl` without wall-clock times."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(folder / "metrics.jsonl")]


def leftovers(folder: Path) -> list[str]:
    """What has no business in a folder of checkpoints."""
    return [path.name for path in (folder / "checkpoints").iterdir() if not path.name.isdigit()]


if __name__ == "__main__":
    train(Path(sys.argv[2])) if sys.argv[1] == "train" else ax.resume(sys.argv[2], progress=None)
