"""The speed benchmarks start, measure and write what they found; the numbers themselves are not judged here."""

import importlib.util
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.cartpole import STANDARD

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def speed(benchmarks):
    return importlib.import_module("speed.timing")


@pytest.fixture
def script(benchmarks):
    """`speed.py` itself, which shares its name with the package beside it."""
    spec = importlib.util.spec_from_file_location("speed_script", FOLDER / "speed.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_a_ratio_is_the_median_over_turns(speed):
    seconds = {"a": iter([9.0, 1.0, 2.0, 4.0]), "b": iter([9.0, 2.0, 4.0, 4.0])}
    a, b, ratio = speed.take_turns(lambda: next(seconds["a"]), lambda: next(seconds["b"]), rounds=3)
    assert (a, b, ratio) == (2.0, 4.0, 2.0)


def test_a_benchmark_runs_and_is_written_down(script, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["speed.py"])
    out = tmp_path / "speed.json"
    assert script.main(["--only", "import", "--rounds", "1", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    assert written["import"]["import_adaptax_s"] > 0
    assert set(written["import"]) >= {"command", "seconds", "load_before", "pass"}
    assert written["machine"]["cores"] >= 1 and "jax" in written["machine"]["versions"]


def test_a_training_of_lives_with_replays_takes_little_more_memory_than_these(speed):
    ours = importlib.import_module("speed.ours")
    learner, env = ours.dqn(tasks=16)
    found = ours.memory(learner, env)
    replay = 16 * 10_000 * (2 * 4 * 4 + 4 + 4 + 2)  # two observations, action, reward, two flags
    assert replay < found["agents_bytes"] < 1.25 * replay  # the networks are the rest
    assert found["program_bytes"] < 1.25 * found["agents_bytes"]


def test_what_needs_other_libraries_is_left_out_without_them(script, tmp_path, capsys):
    only = ["--only", "sb3", "cleanrl", "--out", str(tmp_path / "speed.json")]
    assert script.main(only) == 0 and script.main([*only, "--torch-python", "python", "--only", "cleanrl"]) == 0
    told = capsys.readouterr().out
    assert "cleanrl: left out, --torch-python and --cleanrl not given" in told
    assert "cleanrl: left out, --cleanrl not given" in told and not (tmp_path / "speed.json").exists()


def test_episodes_of_a_life_and_those_of_its_last_tenth(benchmarks):
    plain = importlib.import_module("speed.plain_cartpole")
    over = np.isin(np.arange(20).reshape(2, 10, 1), [4, 9, 18, 19])
    ended, returns, steps = plain.episodes_of(np.ones((2, 10, 1)), over)
    assert (ended.tolist(), returns.tolist(), steps) == ([4, 9, 18, 19], [5.0, 5.0, 9.0, 1.0], 20)
    assert plain.last_tenth(ended, returns, steps) == 5.0


def test_the_plain_cartpole_has_the_physics_of_gymnasium(benchmarks):
    plain = importlib.import_module("speed.plain_cartpole")
    task = plain.cartpole().tasks.train(jax.random.key(0))
    np.testing.assert_allclose(jnp.stack(task), jnp.asarray(STANDARD), rtol=1e-6)


def test_hand_written_meta_steps_learn_from_the_same_shapes(speed, monkeypatch):
    by_hand = importlib.import_module("speed.by_hand")
    metrics = by_hand.runner(*by_hand.rl2(tasks=8, minibatches=2), meta_steps=2)()
    assert 0.0 <= float(metrics["life_return"]) <= by_hand.PULLS
    monkeypatch.setattr(by_hand, "TASKS", 2)
    monkeypatch.setattr(by_hand, "COPIES", 3)
    metrics = by_hand.runner(*by_hand.maml(), meta_steps=1)()
    assert -100.0 < float(metrics["return_last_phase"]) < -0.5
