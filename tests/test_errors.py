"""What each error says: what happened, where, and what to do next, in words that do not change by accident."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import jax.numpy as jnp
import pytest

import adaptax as ax
from adaptax import checkpoint, errors
from adaptax.errors import AdaptaxError
from adaptax.runs import memory, training
from adaptax.runs.folder import in_use
from tiny import BANDIT, RL2


def config(folder: Path) -> None:
    ax.train(ax.RL2(tasks=0, learning_rate=-1.0, minibatches=2), BANDIT, meta_steps=0)


def faulty(folder: Path) -> None:
    class Broken(gymnasium.Wrapper):
        def step(self, action):
            observation, _, *rest = self.env.step(action)
            return observation, float("nan"), *rest

    env = ax.from_gymnasium(lambda: Broken(gymnasium.make("CartPole-v1", max_episode_steps=3)))
    ax.train(ax.Random(tasks=1), env, meta_steps=1, progress=None)


def diverged(folder: Path) -> None:
    ax.train(RL2, BANDIT, meta_steps=3, sweep={"learning_rate": [1e30]}, out=folder / "run", progress=None)


def damaged(folder: Path) -> None:
    checkpoint.save(folder / "3", {"x": jnp.zeros(2)}, 3)
    state = folder / "3" / "state.safetensors"
    state.write_bytes(state.read_bytes() + b"!")
    checkpoint.verified(folder / "3")


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    ax.train(RL2, BANDIT, meta_steps=1, out=folder / "run", progress=None)


def exhausted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(training, "advance_by", fail)
    monkeypatch.setattr(memory, "needs", lambda fixed, run: {"lives and gradients": 2**24})
    monkeypatch.setattr(memory, "available", lambda: 2**23)
    ax.train(RL2, BANDIT, meta_steps=1, progress=None)


def busy(folder: Path) -> None:
    with in_use(folder), in_use(folder):
        pass


GOLDEN: dict[type[AdaptaxError], tuple[Callable, str]] = {
    errors.ConfigError: (
        config,
        "learner.tasks is 0; it must be a whole number >= 1\n"
        "learner.learning_rate is -1.0; it must be a number > 0\n"
        "meta_steps is 0; it must be a whole number >= 1",
    ),
    errors.FaultyEnvironmentError: (
        faulty,
        r"the reward must be one finite number, got nan, in step 0 of life 0, copy 0 \(step 0 of its episode 0\), in "
        r"the task \{'task': 0\.0\}\. To mend it: return float\(reward\)",
    ),
    errors.NumericalError: (
        diverged,
        r"the metric \w+ is (nan|inf), at meta-step 1 of seed 0, learning_rate = 1e\+30; the last good checkpoint is "
        r"{folder}/run/checkpoints/0\. Try a smaller learning_rate or max_gradient; debug_nans \(--debug-nans\) names "
        "the operation",
    ),
    errors.CheckpointError: (
        damaged,
        r"{folder}/3 is damaged: state\.safetensors has \d+ bytes, and \d+ were written",
    ),
    errors.StorageError: (
        full,
        r"{folder}/run has 0\.0 MiB left on its disk, and 3 more checkpoint\(s\) need 0\.\d MiB: make room, or give "
        r"another folder \(out\)",
    ),
    errors.ResourceError: (
        exhausted,
        r"out of memory with 4 tasks in a meta-step: it needs 16 MiB for lives and gradients, and 8 MiB are there "
        r"\(MemoryError\)\. Try fewer learner\.tasks or learner\.copies, or fewer seeds\.",
    ),
    errors.RunBusyError: (
        busy,
        r"{folder} is in use by process \d+ on \S+, since [\d: -]+; wait for it, or end it first",
    ),
}


def test_every_error_has_its_words() -> None:
    classes = {found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, AdaptaxError)}
    assert set(GOLDEN) == classes - {AdaptaxError}
    assert sorted(found.exit_code for found in GOLDEN) == [2, 3, 4, 5, 6, 6, 7]


@pytest.mark.parametrize("error", GOLDEN, ids=lambda error: error.__name__)
def test_an_error_says_what_where_and_what_next(
    error: type[AdaptaxError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provoke, words = GOLDEN[error]
    more = [monkeypatch] if provoke in (full, exhausted) else []
    with pytest.raises(error) as told:
        provoke(tmp_path, *more)
    said = str(told.value)
    assert re.fullmatch(words.replace("{folder}", re.escape(str(tmp_path))), said), said
    assert "Traceback" not in said and json.dumps(said)
