"""Memory, file descriptors and threads: too little of them is told, and none leaks."""

import gc
import os
import re
import resource
import subprocess
import sys
import threading

import jax
import lab
import pytest

import adaptax as ax
from adaptax.errors import ResourceError
from adaptax.runs import Run, memory, open_run, training
from adaptax.runs.run import fresh
from adaptax.runs.settings import Settings

COMPILED = "/jax/core/compile/backend_compile_duration"
LEARNER = ax.RL2(tasks=4096, minibatches=4, hidden=8)


def needed(tasks: int) -> int:
    """Bytes that a training with so many tasks takes."""
    learner, settings = ax.RL2(tasks=tasks, minibatches=4, hidden=8).bind(lab.BANDIT.spec(), 2), Settings(2)
    run = Run(learner, lab.BANDIT, settings, fresh(learner, lab.BANDIT, settings))
    return sum(memory.needs(training.fixed_of(run, 1), run.saved.states).values())


@pytest.mark.fault("F54")
def test_too_little_memory_is_told_with_what_would_fit(tmp_path, monkeypatch, record_property):
    def exhausted(*_):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nat")

    room = needed(4096) // 3
    monkeypatch.setattr(training, "advance_by", exhausted)
    monkeypatch.setattr(memory, "available", lambda: room)
    with pytest.raises(ResourceError) as told:
        ax.train(LEARNER, lab.BANDIT, meta_steps=2, out=tmp_path / "run", progress=None)
    said = str(told.value)
    assert told.value.exit_code == 6
    assert said.startswith("out of memory with 4096 tasks in a meta-step: it needs")
    assert "MiB for lives and gradients" in said and f"{room / 2**20:,.0f} MiB are there" in said
    found = re.search(r"About (\d+) tasks would fit", said)
    assert found
    fit = int(found[1])
    record_property("room taken by the tasks that are said to fit", round(needed(fit) / room, 3))
    assert 0.75 < needed(fit) / room <= 1.05
    monkeypatch.undo()
    assert open_run(tmp_path / "run").step == 0 and lab.leftovers(tmp_path / "run") == []


@pytest.mark.fault("F55")
def test_a_limit_of_the_operating_system_is_told(tmp_path):
    words = [sys.executable, __file__, str(tmp_path / "run")]
    process = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 6, process.stderr
    found = re.search(r"out of memory with 131072 tasks in a meta-step.*About (\d+) tasks would fit", process.stderr)
    assert found is None or int(found[1]) < 131072, process.stderr
    assert "out of memory with 131072 tasks in a meta-step" in process.stderr
    assert open_run(tmp_path / "run").step == 0


def limited(folder: str) -> None:
    """A training that may take 400 MiB more than the process has, and needs gigabytes."""
    lab.train()
    most = lab.memory("VmSize") + 400 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        ax.train(ax.RL2(tasks=2**17), ax.make("bernoulli-bandit", pulls=50), meta_steps=2, out=folder, progress=None)
    except ResourceError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


@pytest.mark.fault("F55")
def test_replays_that_cannot_fit_are_refused_before_anything_starts(tmp_path, record_property):
    learner = ax.make_learner("dqn", tasks=256, replay=100_000_000)
    with pytest.raises(ResourceError) as told:
        ax.train(learner, ax.make("cartpole"), meta_steps=2, out=tmp_path / "run", progress=None)
    said = str(told.value)
    found = re.match(r"256 tasks in a meta-step need at least ([\d,]+) MiB \(.* ([\d,]+) MiB for agents at work", said)
    assert found and told.value.exit_code == 6, said
    row = 4 * (4 + 4 + 1 + 1) + 2  # two observations, an action, a reward, and two flags
    replays = 256 * 100_000_000 * row / 2**20
    assert float(found[2].replace(",", "")) == pytest.approx(replays, rel=1e-3)
    assert said.endswith("try fewer copies or phases, or a smaller learner.replay")
    assert not (tmp_path / "run").exists()
    record_property("refused", f"{replays / 1024:,.0f} GiB")


@pytest.mark.fault("F55")
def test_a_library_that_cannot_fit_is_refused_by_its_name(tmp_path):
    learner = ax.make_learner("metric-dqn", library=100_000_000)
    with pytest.raises(ResourceError, match=r"the outer state alone does not fit: try a smaller .* or learner.library"):
        ax.train(learner, ax.make("cartpole"), meta_steps=2, out=tmp_path / "run", progress=None)


@pytest.mark.fault("F56")
@pytest.mark.usefixtures("unvalidated")
def test_ten_thousand_chunks_leak_nothing(monkeypatch, full, record_property):
    monkeypatch.setattr(training, "SECONDS", 0.0)  # chunks of one meta-step
    count, compiled, sizes = 10_000 if full else 600, [], {}
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **kwargs: compiled.append(event) if event == COMPILED else None
    )

    def look(now: ax.Now) -> None:
        gc.collect()
        sizes[now.step] = (lab.memory(), len(compiled))

    ax.train(lab.RL2, lab.BANDIT, meta_steps=count, log_every=count // 4, callbacks=[look], progress=None)
    warm, last = sizes[count // 2], sizes[count]  # the first validation comes after what is heard at the first quarter
    record_property("memory after, against half of the chunks", round(last[0] / warm[0], 4))
    assert last[0] < 1.01 * warm[0] and last[1] == warm[1]


@pytest.mark.fault("F57")
@pytest.mark.usefixtures("unvalidated")
def test_many_runs_in_one_process_leave_no_file_and_no_thread_open(tmp_path, full, record_property):
    lab.train(tmp_path / "first")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64 + before[0], limits[1]))
    try:
        for number in range(200 if full else 10):
            ax.train(lab.RL2, lab.BANDIT, meta_steps=1, out=tmp_path / str(number), progress=None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    after = len(os.listdir("/proc/self/fd")), threading.active_count()
    more = [number + 1, after[0] - before[0], after[1] - before[1]]
    record_property("runs, and open files and threads more than before", more)
    assert after == before


if __name__ == "__main__":
    limited(sys.argv[1])
