"""Training from Python: resume, callbacks, seeds, sweeps, interruption."""

import json
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

import adaptax as ax
from adaptax.checkpoint import to_arrays
from adaptax.errors import CheckpointError, ConfigError, RunBusyError
from adaptax.runs import Interrupted, open_run, read_lines

ENV = ax.make("bernoulli-bandit", arms=3, pulls=4)
RL2 = ax.RL2(tasks=8, minibatches=2, hidden=8)
TIMED = ("seconds",)


def state_of(run: ax.Run) -> dict[str, np.ndarray]:
    return to_arrays(run.saved)


def assert_same(first: ax.Run, second: ax.Run) -> None:
    ours, theirs = state_of(first), state_of(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def untimed(folder: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in TIMED} for line in read_lines(folder / "metrics.jsonl")]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole = ax.train(RL2, ENV, meta_steps=6, seeds=2, out=tmp_path / "whole")

    def interrupt(now: ax.Now) -> None:
        if now.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as stopped:
        ax.train(RL2, ENV, meta_steps=6, seeds=2, out=tmp_path / "cut", callbacks=[interrupt])
    assert stopped.value.exit_code == 75
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["status"] == "preempted"
    resumed = ax.resume(tmp_path / "cut")
    assert_same(whole, resumed)
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["status"] == "finished"


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole = ax.train(RL2, ENV, meta_steps=6, out=tmp_path / "whole", checkpoint_every=2)

    class Killed(Exception):
        pass

    def die(now: ax.Now) -> None:
        if now.step == 5:
            raise Killed

    with pytest.raises(Killed):
        ax.train(RL2, ENV, meta_steps=6, out=tmp_path / "cut", checkpoint_every=2, callbacks=[die])
    leftovers = tmp_path / "cut" / "checkpoints" / ".9.1"
    leftovers.mkdir()
    assert open_run(tmp_path / "cut").step == 4
    assert_same(whole, ax.resume(tmp_path / "cut"))
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "cut")
    assert not leftovers.exists()


def test_callbacks_see_every_chunk_and_can_stop(tmp_path: Path) -> None:
    seen = []
    run = ax.train(RL2, ENV, meta_steps=10, callbacks=[lambda now: seen.append(now.step), lambda now: now.step == 3])
    assert seen == [1, 2, 3] and run.step == 3


def test_seeds_side_by_side_equal_single_runs() -> None:
    both = ax.train(RL2, ENV, meta_steps=3, seed=5, seeds=2)
    for index in range(2):
        alone = ax.train(RL2, ENV, meta_steps=3, seed=5 + index)
        mine = jax.tree.map(lambda x: np.asarray(x)[index], both.saved.states.meta)  # noqa: B023
        other = jax.tree.map(lambda x: np.asarray(x)[0], alone.saved.states.meta)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), mine, other)


def test_a_sweep_runs_each_value() -> None:
    rates = [1e-3, 1e-2]
    swept = ax.train(RL2, ENV, meta_steps=3, sweep={"learning_rate": rates})
    for index, rate in enumerate(rates):
        alone = ax.train(ax.RL2(tasks=8, minibatches=2, hidden=8, learning_rate=rate), ENV, meta_steps=3)
        assert vars(swept.learner_of(index))["learning_rate"] == rate
        mine = jax.tree.map(lambda x: np.asarray(x)[index], swept.saved.states.meta)  # noqa: B023
        other = jax.tree.map(lambda x: np.asarray(x)[0], alone.saved.states.meta)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), mine, other)
    with pytest.raises(ConfigError, match="a float field"):
        ax.train(RL2, ENV, meta_steps=3, sweep={"hidden": [1.0, 2.0]})


def test_different_seeds_give_different_runs() -> None:
    run = ax.train(RL2, ENV, meta_steps=1, seeds=4)
    first = np.asarray(run.saved.states.meta.params["policy"]["weight"])
    assert len({row.tobytes() for row in first}) == 4


def test_what_is_watched_does_not_change_what_is_learned() -> None:
    plain = ax.train(RL2, ENV, meta_steps=4)
    watched = ax.train(RL2, ENV, meta_steps=4, log_every=3, validate_every=2, callbacks=[lambda now: None])
    mine, other = (to_arrays(run.saved.states) for run in (plain, watched))
    for name, value in mine.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_best_is_the_best_on_validation_and_both_are_kept(tmp_path: Path) -> None:
    run = ax.train(ax.RL2(tasks=64, hidden=8, learning_rate=0.02), ENV, meta_steps=30, out=tmp_path / "run")
    scores = {line["step"]: line["validation"] for line in run.history if "validation" in line}
    assert float(run.saved.best_score[0]) == pytest.approx(max(scores.values()))
    assert scores[int(run.saved.best_step[0])] == max(scores.values())
    again = open_run(tmp_path / "run")
    for which in ("best", "last", 30):
        jax.tree.map(np.testing.assert_array_equal, run.meta(which), again.meta(which))
    with pytest.raises(CheckpointError, match="it is best, last or one of"):
        run.meta(31)


def test_wrong_configurations_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clip is -1"):
        ax.train(ax.RL2(clip=-1.0), ENV, meta_steps=3)
    with pytest.raises(ConfigError, match="meta_steps is 0"):
        ax.train(RL2, ENV, meta_steps=0)
    with pytest.raises(RunBusyError):
        ax.train(RL2, ENV, meta_steps=1, out=tmp_path)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    ax.train(RL2, ENV, meta_steps=4, out=tmp_path / "run", checkpoint_every=2)
    newest = tmp_path / "run" / "checkpoints" / "4" / "state.safetensors"
    damaged = bytearray(newest.read_bytes())
    damaged[-1] ^= 1
    newest.write_bytes(damaged)
    assert open_run(tmp_path / "run").step == 2


def test_a_moved_folder_still_opens(tmp_path: Path) -> None:
    ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "über run")
    assert ax.resume(tmp_path / "über run").step == 2
