"""`adaptax check`: what is wrong with somebody's family is told in words, all of it, each with how to mend it."""

import json
from pathlib import Path

import pytest

from adaptax.cli import main

FAMILY = """
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.ops.spaces import Box, Discrete

class State(NamedTuple):
    cell: jax.Array
    time: jax.Array

def sample(key):
    return jax.random.randint(key, (), 0, 1000)

class Line(ax.Environment):
    observation_space = property(lambda self: Discrete(5))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: 4)
    episodes = property(lambda self: 2)
    tasks = property(lambda self: ax.TaskSplit.iid(sample, None))

    def reset(self, task, key):
        return State(jnp.array(2, jnp.int32), jnp.array(0, jnp.int32)), jnp.array(2, jnp.int32)

    def step(self, task, state, action, key):
        cell, time = jnp.clip(state.cell + 2 * action - 1, 0, 4), state.time + 1
        return State(cell, time), cell, (cell == task % 5).astype(float), jnp.array(False), time >= 4

    def describe(self, task):
        return task.astype(float)[None]

class Mine(Line):
"""
STEP = "    def step(self, task, state, action, key):\n"
TASKS = "    @property\n    def tasks(self):\n"
LINE = FAMILY.count("\n") + 2  # the first of a method that is added
USUAL = "super().step(task, state, action, key)"
NOISE = (
    STEP
    + f"        state, seen, reward, *ends = {USUAL}\n        return state, seen, reward + np.random.normal(), *ends"
)
BRANCH = STEP + f"        if state.cell > 3:\n            return self.reset(task, key)\n        return {USUAL}"
LOOP = STEP + f"        for _ in range(state.time):\n            pass\n        return {USUAL}"
NUMPY = STEP + f"        np.sqrt(state.time)\n        return {USUAL}"
LIST = STEP + f"        [1, 2, 3][action]\n        return {USUAL}"
MASK = STEP + f"        jnp.arange(3)[jnp.arange(3) < action]\n        return {USUAL}"
SELF = STEP + f"        self.last = action\n        return {USUAL}"
KEPT = f"    kept = []\n{STEP}        self.kept.append(action)\n        action = self.kept[0]\n        return {USUAL}"
DRIFT = STEP + f"        state, *rest = {USUAL}\n        return state._replace(time=state.time.astype(float)), *rest"
SEEN = "    def reset(self, task, key):\n        return super().reset(task, key)[0], jnp.array(2.0)"
OUTSIDE = STEP + f"        state, seen, *rest = {USUAL}\n        return state, seen - 3, *rest"
DICE = TASKS + "        return ax.TaskSplit.iid(lambda key: jnp.asarray(np.random.randint(1000)), None)"
OVERLAP = TASKS + "        return super().tasks._replace(kind='disjoint')"
ENDLESS = STEP + f"        *rest, _ = {USUAL}\n        return *rest, jnp.array(False)"
ERROR = "    def describe(self, task):\n        return {}['goal']"
GYM = "    observation_space = property(lambda self: np.zeros(3))"
FOUR = STEP + f"        return {USUAL}[:4]"


def run(capsys: pytest.CaptureFixture[str], file: Path, text: str, *options: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    file.write_text(FAMILY + text + "\n")
    try:
        main(["check", f"{file}:Mine", *options])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        (NOISE, "step reads or changes something that is not among its arguments", "jax.random from the key"),
        (BRANCH, "step asks `if`, `while`", "jnp.where or jax.lax.cond"),
        (BRANCH, f"(mine.py:{LINE}, `if state.cell > 3:`)", "jnp.where or jax.lax.cond"),
        (LOOP, f"an index or a count of Python's (mine.py:{LINE}", "take counts from fields"),
        (NUMPY, f"to numpy (mine.py:{LINE}, `np.sqrt(state.time)`)", "the same name in jax.numpy"),
        (LIST, f"an index or a count of Python's (mine.py:{LINE}", "jnp.asarray(table)[i]"),
        (MASK, f"a shape depends on values (mine.py:{LINE}", "jnp.where(condition, x, 0)"),
        (SELF, f"step changes the family itself (mine.py:{LINE}, `self.last = action`)", "a part of the state"),
        (KEPT, "step uses an array that was kept from an earlier call", "a part of the state"),
        (DRIFT, ".time is int32[] from reset and float32[] from step", "a state keeps its types"),
        (SEEN, "reset gives an observation float32[], but Discrete(n=5) holds int32[]", ".astype(jnp.int32)"),
        (OUTSIDE, "an observation lies outside Discrete(n=5): from -3 to ", "or clip what leaves it"),
        (DICE, "two draws from 'train' with the same keys differ", "from the key alone, not with numpy"),
        (OVERLAP, "says 'disjoint', but", "or say kind='iid'"),
        (ENDLESS, "still going on after episode_steps = 4 steps", "truncated = time >= self.episode_steps"),
        (ERROR, f"describe raises KeyError: 'goal' (mine.py:{LINE}, `return {{}}['goal']`)", "correct that line"),
        (GYM, "observation_space is a ndarray, not a Discrete or a Box", "Discrete(n) for the numbers"),
        (FOUR, "step does not return five values", "state, observation, reward, terminated, truncated"),
    ],
)
def test_a_fault_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, problem: str, remedy: str
) -> None:
    code, out, err = run(capsys, tmp_path / "mine.py", text)
    assert (code, out) == (3, "")
    assert "Traceback" not in err and "mine.py:Mine breaks the contract" in err
    told, mend = err.splitlines()[2:4]  # the only one
    assert told.startswith("1. ") and problem in told
    assert mend.startswith("   to mend it: ") and remedy in mend
    assert "\n2. " not in err


def test_all_that_is_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "\n".join([OVERLAP, ERROR, STEP + f"        *rest, end = {USUAL}\n        return *rest, end.astype(int)"])
    code, out, err = run(capsys, tmp_path / "mine.py", text, "--json")
    told = json.loads(out)["broken"]
    assert code == 3 and len(told) == 3 and all(one["remedy"] for one in told)
    for words in ("'test' tasks and ", "KeyError", "truncated must be one bool, not int32[]"):
        assert sum(words in one["problem"] for one in told) == 1 and words in err
    assert "whole episodes were not lived" in err


def test_a_family_that_keeps_the_contract_is_summed_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, tmp_path / "mine.py", "    pass")
    assert code == 0 and "mine.py:Mine keeps the contract" in out
    for words in ("Discrete(n=5)", "at most 4 steps", "train, validation, test", "iid", "steps a second"):
        assert words in out
    code, out, _ = run(capsys, tmp_path / "mine.py", "    pass", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["broken"] == [] and facts["kind"] == "iid" and facts["steps_per_second"] > 0


def test_a_gymnasium_environment_is_checked_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("import gymnasium as gym\ndef Swing():\n    return gym.make('CartPole-v1', max_episode_steps=10)")
    main(["check", f"{file}:Swing", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["broken"] == [] and facts["episode_steps"] == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "FILE.py:FAMILY must be named; for example mine.py:Reactor"),
        (["mine.py"], "FILE.py:FAMILY is 'mine.py'; it must be file.py:Name"),
        (["nowhere.py:Mine"], "there is no file 'nowhere.py' here"),
        (["nowhere.py:Mine", "--jsno"], "did you mean '--json'"),
        (["a.py:A", "b.py:B"], "'b.py:B'; after `adaptax check FILE.py:FAMILY` comes an option"),
    ],
)
def test_wrong_words_are_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["check", *words])
    assert stop.value.code == 2 and told in capsys.readouterr().err


def test_a_file_that_fails_says_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("limit = 3\nlimit = limit / 0\n")
    with pytest.raises(SystemExit) as stop:
        main(["check", f"{tmp_path / 'mine.py'}:Mine"])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "ZeroDivisionError: division by zero (mine.py:2, `limit = limit / 0`)" in err
