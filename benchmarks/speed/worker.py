"""The other library at the end of a pipe: one line of JSON asks for a measurement, one line answers.

The process stays alive between measurements, so that ours and theirs can take turns.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Worker:
    """A script of this folder that runs in another virtual environment."""

    def __init__(self, python: str, script: str):
        path = Path(__file__).parent / script
        self.process = subprocess.Popen([python, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
            RuntimeError: the process ended instead of answering.
        """
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended with code {self.process.wait()}")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()  # closes its input, at which it ends


def serve(measure: Callable[..., dict[str, Any]]) -> None:
    """The other end: answers requests until the pipe closes."""
    for line in sys.stdin:
        print(json.dumps(measure(**json.loads(line))), flush=True)
