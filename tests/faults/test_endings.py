"""Ctrl-C, a terminal that goes away, and readers that read no more: as a person at a shell meets them."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import lab
import pytest

import adaptax as ax
from adaptax.failpoints import VARIABLE

COMMAND = [sys.executable, str(lab.HERE), "cli"]  # with the flags of the tests: it compiles faster
TRAIN = [*COMMAND, "train", "rl2", "bernoulli-bandit", "--meta-steps", "40", "--env.pulls", "4"]
AT = {"chunk": "run.chunk:sleep1@2", "validation": "run.validation:sleep1@2", "save": "ckpt.mid_file:sleep1@3"}


class Process:
    """The command line, on a terminal of its own or with its output in a pipe."""

    def __init__(self, folder: Path, terminal: bool, failpoint: str = ""):
        self.ours, theirs = pty.openpty() if terminal else os.pipe()
        self.stacks = folder.with_name("stacks")
        environment = os.environ | {
            lab.STACKS: str(self.stacks),
            VARIABLE: failpoint,
            "ADAPTAX_CACHE": str(jax.config.values["jax_compilation_cache_dir"]),
        }
        self.begun = subprocess.Popen(
            [*TRAIN, "--out", str(folder)],
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""

    def until(self, words: str) -> None:
        """Reads what it says up to some words, or to its end."""
        while words not in self.said:
            try:
                read = os.read(self.ours, 4096)
            except OSError:  # a terminal's way to say that nobody is left
                read = b""
            if not read:
                return
            self.said += read.decode()

    def press_ctrl_c(self, terminal: bool) -> None:
        """As a person does; without a terminal, as a shell passes it on."""
        if terminal:
            os.write(self.ours, b"\x03")
        else:
            os.killpg(self.begun.pid, signal.SIGINT)

    def end(self) -> int:
        """Its exit code, once it has said everything."""
        self.until("\0")
        return self.left()

    def left(self) -> int:
        """Its exit code, when nobody reads what it says any more."""
        os.close(self.ours)
        code = self.begun.wait(60)
        assert code >= 0 and not self.stacks.read_text(), f"crashed: {code}\n{self.stacks.read_text()}"
        return code


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> ax.Run:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    process = Process(folder, terminal=False)
    assert process.end() == 0, process.said
    return ax.open_run(folder)


def goes_on(folder: Path, unbroken: ax.Run) -> None:
    assert lab.state_hash(ax.resume(folder, progress=None)) == lab.state_hash(unbroken)
    assert lab.lines_of(folder) == lab.lines_of(unbroken.folder)


CASES = [("chunk", True), ("validation", False), ("save", True)]
MORE = [("chunk", False), ("validation", True), ("save", False)]


@pytest.mark.fault("F05")
@pytest.mark.parametrize(
    ("place", "terminal"), [*CASES, *(pytest.param(*case, marks=pytest.mark.full) for case in MORE)]
)
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, unbroken, place, terminal):
    process = Process(tmp_path / "run", terminal, AT[place])
    process.until(f"at {AT[place].partition(':')[0]}")
    process.press_ctrl_c(terminal)
    assert process.end() == 130, process.said
    assert f"saved. To go on: adaptax resume {tmp_path}/run" in process.said.replace(COMMAND[1], "adaptax")
    goes_on(tmp_path / "run", unbroken)


@pytest.mark.fault("F05")
@pytest.mark.parametrize(("place", "terminal"), [("save", True), pytest.param("chunk", False, marks=pytest.mark.full)])
def test_ctrl_c_twice_ends_at_once(tmp_path, unbroken, place, terminal):
    process = Process(tmp_path / "run", terminal, AT[place].replace("sleep1", "sleep30"))
    process.until("at ")
    process.press_ctrl_c(terminal)
    time.sleep(0.5)
    begun = time.monotonic()
    process.press_ctrl_c(terminal)
    assert process.end() == 130, process.said
    assert time.monotonic() - begun < 2
    goes_on(tmp_path / "run", unbroken)


@pytest.mark.fault("F07")
def test_a_terminal_that_is_closed_loses_nothing(tmp_path, unbroken):
    process = Process(tmp_path / "run", True, AT["chunk"])
    process.until("at run.chunk")
    assert process.left() == 129  # the kernel sends SIGHUP
    goes_on(tmp_path / "run", unbroken)


@pytest.mark.fault("F07")
def test_without_a_reader_the_training_goes_on(tmp_path, unbroken):
    process = Process(tmp_path / "run", False, AT["chunk"])
    process.until("at run.chunk")
    assert process.left() == 0  # as `| head -1` does
    assert lab.state_hash(ax.open_run(tmp_path / "run")) == lab.state_hash(unbroken)
    assert lab.lines_of(tmp_path / "run") == lab.lines_of(unbroken.folder)


@pytest.mark.fault("F07")
def test_who_is_started_to_outlive_its_terminal_does(tmp_path, unbroken, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; a child inherits it
    try:
        process = Process(tmp_path / "run", True, AT["chunk"])
    finally:
        signal.signal(signal.SIGHUP, before)
    process.until("at run.chunk")
    assert process.left() == 0
    assert lab.state_hash(ax.open_run(tmp_path / "run")) == lab.state_hash(unbroken)
