"""Signals: a scheduler ends the job, or a person does (F04, F05, F06)."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import jax
import lab
import pytest

import adaptax as ax
from adaptax.failpoints import VARIABLE
from adaptax.runs import Interrupted, signals, training
from adaptax.runs.log import RunLog


def ended_at(step: int, sent: int = 1):
    """Chunks of a training that is sent signals at a meta-step."""
    chunks = training.chunks

    def ended(*arguments):
        for states, metrics in chunks(*arguments):
            if int(states.step[0]) == step:
                for _ in range(sent):
                    os.kill(os.getpid(), signal.SIGTERM)
            yield states, metrics

    return ended


@pytest.mark.fault("F04")
@pytest.mark.parametrize("step", range(1, 12))
def test_a_job_that_is_ended_anywhere_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, step):
    """In the middle of a line, of an interval between checkpoints, or just before a validation was due."""
    folder = tmp_path / "run"
    monkeypatch.setattr(training, "chunks", ended_at(step))
    monkeypatch.setattr(training, "SECONDS", 0.0)  # chunks of one meta-step
    with pytest.raises(Interrupted):
        lab.train(folder)
    monkeypatch.undo()
    run = ax.open_run(folder)
    assert run.step == step
    lab.goes_on_unbroken(folder)


def busy(folder: Path, *sent: int, devices: int = 0) -> tuple[int, float]:
    """Sends signals to a process whose main thread hears nothing; its exit code, and seconds after the last one."""
    words = [sys.executable, str(Path(__file__)), str(folder), str(devices)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "busy\n"
        for number in sent:
            time.sleep(4 * signals.SAME)
            process.send_signal(number)
        begun = time.monotonic()
        try:
            process.communicate(timeout=30)
        finally:
            process.kill()
        return process.returncode, time.monotonic() - begun


class Heavy(ax.Random):
    """Its outer state is 100 MB, and so is that which was best."""

    def init(self, key):
        return jax.random.uniform(key, (25_000_000,))

    def begin(self, meta, key, descriptor):
        return (), ()

    def act(self, meta, inner, carry, step, key, explore):
        return jax.random.randint(key, (), 0, 3, "int32"), carry, ()

    def adapt(self, meta, inner, data, key):
        return inner

    def update(self, meta, lifetimes, key):
        return jax.tree.map(lambda x: x + 1.0, meta), {}


@pytest.mark.fault("F04")
def test_two_hundred_megabytes_are_saved_in_time(tmp_path, record_property):
    sent = []

    def end(now: ax.Now) -> None:
        if now.step == 2:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        ax.train(Heavy(tasks=2), lab.BANDIT, meta_steps=4, out=tmp_path / "run", progress=None, callbacks=[end])
    seconds = time.monotonic() - sent[0]
    record_property("seconds from SIGTERM to the end, with 200 MB to save", round(seconds, 2))
    assert seconds < 10
    run = ax.open_run(tmp_path / "run", learner=Heavy(tasks=2))
    assert run.step in (2, 3) and (tmp_path / "run" / "checkpoints" / str(run.step)).exists()


@pytest.mark.fault("F06")
def test_a_job_inside_a_long_chunk_is_saved_as_it_was_before_it(tmp_path):
    folder = tmp_path / "run"
    code, seconds = busy(folder, signal.SIGTERM)
    assert code == 75 and seconds < 5
    assert json.loads((folder / "run.json").read_text())["status"] == "preempted"
    assert ax.open_run(folder).step == 5
    lab.goes_on_unbroken(folder)


@pytest.mark.fault("F06")
@pytest.mark.parametrize("devices", [1, 2])
def test_a_job_is_saved_while_the_devices_compute(tmp_path, devices):
    folder = tmp_path / "run"
    code, seconds = busy(folder, signal.SIGTERM, devices=devices)
    assert code == 75 and seconds < 8
    assert json.loads((folder / "run.json").read_text())["status"] == "preempted"
    assert ax.open_run(folder).step == 5


@pytest.mark.fault("F05")
def test_a_second_ctrl_c_ends_at_once_even_inside_a_long_chunk(tmp_path):
    code, seconds = busy(tmp_path / "run", signal.SIGINT, signal.SIGINT)
    assert code == 130 and seconds < 2
    assert ax.open_run(tmp_path / "run").step == 5


def test_a_signal_that_comes_twice_at_once_came_once(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "chunks", ended_at(3, sent=2))
    with pytest.raises(Interrupted, match="at meta-step 3; saved"):
        lab.train(tmp_path / "run")


def test_a_line_that_was_due_is_written_once_however_often_the_job_ends(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(training, "chunks", ended_at(3))
    with pytest.raises(Interrupted):
        lab.train(folder)
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError):  # ends after the line of meta-step 3, before the next checkpoint
        ax.resume(folder, progress=None, callbacks=[lambda now: 1 / 0])
    ax.resume(folder, progress=None)
    assert lab.lines_of(folder) == lab.lines_of(lab.whole().folder)


@pytest.mark.fault("F13")
def test_a_full_disk_does_not_hide_that_the_job_was_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "chunks", ended_at(3))
    monkeypatch.setenv(VARIABLE, "ckpt.before_rename:full")
    monkeypatch.setattr(RunLog, "preflight", lambda *_: None)  # the disk was not full then
    with pytest.raises(Interrupted, match="at meta-step 3; it could not be saved") as stopped:
        lab.train(tmp_path / "run")
    assert stopped.value.exit_code == 75


def test_the_time_of_earlier_processes_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "chunks", ended_at(3))
    with pytest.raises(Interrupted):
        lab.train(tmp_path / "run")
    monkeypatch.undo()
    before = ax.open_run(tmp_path / "run").seconds
    run = ax.resume(tmp_path / "run", progress=None)
    seconds = [line["seconds"] for line in run.history]
    assert before > 0 and seconds == sorted(seconds) and seconds[-1] > before


def test_the_signals_of_a_child_are_its_own():
    """A simulator may fork a process, and end it."""
    with signals.listening(lambda: None) as heard, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        time.sleep(0.1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert not heard


def test_handlers_and_threads_are_gone_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in signals.EXITS], threading.active_count()
    lab.train()
    deadline = time.monotonic() + 5
    while threading.active_count() > before[1] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ([signal.getsignal(number) for number in signals.EXITS], threading.active_count()) == before


def busy_main(folder: Path, devices: int) -> None:
    """A training that comes to a chunk of a minute, spent outside Python: hashing, or computing on devices."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
    signals.GRACE = 1.0
    training.SECONDS = 0.0
    chunks, advance_by = training.chunks, training.advance_by

    def long(fixed, states, count):
        if int(states.step[0]) < 5:
            return advance_by(fixed, states, count)
        print("busy", flush=True)
        return advance_by(fixed, states, 10**9)

    def stuck(*arguments):
        for states, metrics in chunks(*arguments):
            yield states, metrics
            if int(states.step[0]) == 5:
                print("busy", flush=True)
                hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # not in Python: its handlers do not run

    if devices:
        training.advance_by = long
        steps = lab.STEPS | {"checkpoint_every": 12}  # the rescue has something to save
        ax.train(lab.RL2, lab.BANDIT, out=folder, devices=devices, progress=None, **steps)
    else:
        training.chunks = stuck
        lab.train(folder)


if __name__ == "__main__":
    busy_main(Path(sys.argv[1]), int(sys.argv[2]))
