"""Training from Python: resume, callbacks, seeds, sweeps, interruption."""

import copy
import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import adaptax as ax
from adaptax import testing
from adaptax.checkpoint import notes_of, to_arrays
from adaptax.core.types import Schedule
from adaptax.envs.bandits import BernoulliBandit
from adaptax.errors import CheckpointError, ConfigError, NumericalError, RunBusyError
from adaptax.measure import Samples
from adaptax.nn.recurrent import gru
from adaptax.registry import make_learner
from adaptax.runs import Interrupted, elsewhere, open_run, opened, read_lines
from adaptax.runs.guard import spoilt
from adaptax.runs.settings import Settings, checked_settings, type_problems
from adaptax.runs.signals import SAME
from adaptax.runs.training import go_on
from tiny import BANDIT as ENV
from tiny import RANDOM, RL2, SCRATCH

TIMED = ("seconds",)


class OwnBandit(BernoulliBandit):
    """An environment that no registry knows."""


def state_of(run: ax.Run) -> dict[str, np.ndarray]:
    return to_arrays(run.saved)


def assert_same(first: ax.Run, second: ax.Run) -> None:
    ours, theirs = state_of(first), state_of(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def untimed(folder: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in TIMED} for line in read_lines(folder / "metrics.jsonl")]


@pytest.mark.fault("F04")
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
    enough = lambda now: now.metrics["life_return"].mean() > -1  # a comparison of numpy's numbers is numpy's bool
    assert ax.train(RL2, ENV, meta_steps=10, callbacks=[enough]).step == 1


@pytest.mark.fault("F35")
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
        alone = ax.train(dataclasses.replace(RL2, learning_rate=rate), ENV, meta_steps=3)
        assert vars(swept.learner_of(index))["learning_rate"] == rate
        mine = jax.tree.map(lambda x: np.asarray(x)[index], swept.saved.states.meta)  # noqa: B023
        other = jax.tree.map(lambda x: np.asarray(x)[0], alone.saved.states.meta)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), mine, other)
    with pytest.raises(ConfigError, match="a float field"):
        ax.train(RL2, ENV, meta_steps=3, sweep={"hidden": [1.0, 2.0]})


def test_different_seeds_give_different_runs() -> None:
    runs = [ax.train(RL2, ENV, meta_steps=1, seed=seed, seeds=2) for seed in (0, 2)]
    first = np.concatenate([run.saved.states.meta.params["policy"]["weight"] for run in runs])
    assert len({row.tobytes() for row in first}) == 4


@pytest.mark.fault("F34")
def test_what_is_watched_does_not_change_what_is_learned() -> None:
    plain = ax.train(RL2, ENV, meta_steps=4)
    watched = ax.train(RL2, ENV, meta_steps=4, log_every=3, validate_every=2, callbacks=[lambda now: None])
    mine, other = (to_arrays(run.saved.states) for run in (plain, watched))
    for name, value in mine.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_best_is_the_best_on_validation_and_both_are_kept(tmp_path: Path) -> None:
    run = ax.train(dataclasses.replace(RL2, learning_rate=0.02), ENV, meta_steps=30, out=tmp_path / "run")
    assert run.saved.best_step[0] < 30  # else best and last would be one
    scores = {line["step"]: line["validation"] for line in run.history if "validation" in line}
    assert float(run.saved.best_score[0]) == pytest.approx(max(scores.values()))
    assert scores[int(run.saved.best_step[0])] == max(scores.values())
    again = open_run(tmp_path / "run")
    for which in ("best", "last", 30):
        jax.tree.map(np.testing.assert_array_equal, run.meta(which), again.meta(which))
    with pytest.raises(CheckpointError, match="it is best, last or one of"):
        run.meta(31)


@pytest.mark.parametrize(("learner", "best"), [(SCRATCH, 2), (RL2, 1)])
def test_what_training_is_for_picks_the_best(monkeypatch: pytest.MonkeyPatch, learner: ax.Learner, best: int) -> None:
    phases = iter([[9.0, -5.0, -1.0], [0.0, -2.0, -2.0]])  # the first ends better, the second is better once adapted
    totals = iter([1.0, 0.0])

    def measured(*_: object) -> tuple[Samples, None]:
        return Samples(
            np.full(4, next(totals)), np.zeros((4, 1)), np.tile(next(phases), (4, 1)), np.zeros((4, 1))
        ), None

    monkeypatch.setattr("adaptax.runs.training.measure", measured)
    run = ax.train(learner, ENV, meta_steps=2, validate_every=1)
    assert int(run.saved.best_step[0]) == best


def test_what_a_callback_keeps_stays() -> None:
    kept = []
    run = ax.train(RL2, ENV, meta_steps=4, log_every=1, callbacks=[lambda now: kept.append(now.run.meta("last"))])
    assert len(kept) == 4
    jax.tree.map(np.testing.assert_array_equal, kept[-1], run.meta("last"))
    assert not np.array_equal(kept[0].params["value"]["weight"], kept[-1].params["value"]["weight"])


def test_a_callback_that_raises_leaves_the_reason(tmp_path: Path) -> None:
    def fail(now: ax.Now) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run", callbacks=[fail])
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (info["status"], info["reason"]) == ("failed", "KeyError: 'mine'")
    assert read_lines(tmp_path / "run" / "events.jsonl")[-1]["event"] == "failed"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests were begun in the background of a shell, which has it ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_ends_at_once_and_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: Any) -> Iterator:
        for _press in range(2):
            signal.raise_signal(signal.SIGINT)
            time.sleep(2 * SAME)
        yield

    monkeypatch.setattr("adaptax.runs.training.chunks", pressed)
    with pytest.raises(KeyboardInterrupt):
        ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "preempted"
    monkeypatch.undo()
    assert ax.resume(tmp_path / "run").step == 2


def test_an_error_within_a_chunk_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator:
        yield 1 / 0

    monkeypatch.setattr("adaptax.runs.training.chunks", failing)
    with pytest.raises(ZeroDivisionError):
        ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run")
    assert read_lines(tmp_path / "run" / "events.jsonl")[-1]["reason"] == "ZeroDivisionError: division by zero"


def test_a_signal_in_the_last_chunk_stops_nothing(tmp_path: Path) -> None:
    hear = lambda now: os.kill(os.getpid(), signal.SIGTERM) if now.step == 2 else None
    run = ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run", callbacks=[hear])
    assert run.step == 2 and json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"


@pytest.mark.fault("F52")
def test_a_run_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    def again(now: ax.Now) -> None:
        ax.resume(tmp_path / "run")

    with pytest.raises(RunBusyError, match=rf"in use by process {os.getpid()} on .*, since"):
        ax.train(RL2, ENV, meta_steps=2, log_every=1, checkpoint_every=1, out=tmp_path / "run", callbacks=[again])
    assert ax.resume(tmp_path / "run").step == 2  # the lock went with the training


@pytest.mark.fault("F39")
def test_wrong_configurations_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clip is -1"):
        ax.train(ax.RL2(clip=-1.0), ENV, meta_steps=3)
    with pytest.raises(ConfigError, match="meta_steps is 0"):
        ax.train(RL2, ENV, meta_steps=0)
    with pytest.raises(RunBusyError):
        ax.train(RL2, ENV, meta_steps=1, out=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        ax.train(RL2, ENV, meta_steps=1, out=tmp_path / "file" / "run")


def test_parts_of_a_phase_that_are_no_whole_number_are_refused() -> None:
    class Hasty(ax.Random):
        def learns_every(self, schedule: Schedule) -> int:
            return schedule.steps - 1

    steps = Hasty().bind(ENV.spec()).schedule().steps
    with pytest.raises(ConfigError, match=f"learns_every is {steps - 1}; it must divide the {steps} steps of a phase"):
        ax.train(Hasty(tasks=2), ENV, meta_steps=1)


def test_a_name_in_place_of_a_learner_or_an_environment_is_named() -> None:
    for learner, env, expected in (
        ("rl2", ENV, "ax.make_learner"),
        (ax.RL2, ENV, "an instance"),
        (RL2, "grid", "ax.make"),
    ):
        (problem,) = type_problems(learner, env)
        assert expected in problem
    assert type_problems(RL2, ENV) == []


def test_the_length_of_a_training_is_no_field_of_a_learner() -> None:
    class Own(ax.Random):
        meta_steps: float = 0.5

    for learner, told in ((Own(tasks=2), "call your own field otherwise"), (ax.Random(meta_steps=9.0), "give it to")):
        (problem,) = type_problems(learner, ENV)
        assert told in problem


@pytest.mark.parametrize("what", ["learner", "environment"])
def test_a_run_of_another_version_is_not_opened_with_other_defaults(tmp_path: Path, what: str) -> None:
    ax.train(RANDOM, ENV, meta_steps=1, out=tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    name, _ = config[what]["fields"].popitem()
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=rf"does not say .*\.{name}: another version"):
        open_run(tmp_path / "run")


@pytest.mark.fault("F53")
def test_the_folder_is_made_before_the_expensive_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptax.runs.training.fresh", lambda *_: pytest.fail("the states were built first"))
    with pytest.raises(RunBusyError):
        ax.train(RL2, ENV, meta_steps=1, out=tmp_path)


@pytest.mark.fault("F39")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"meta_steps": "3"}, ["meta_steps is '3'"]),
        ({"seeds": 2.5, "seed": -1, "log_every": -2}, ["seeds is 2.5", "seed is -1", "log_every is -2"]),
        ({"validate_every": 0, "checkpoint_every": 0}, ["validate_every is 0", "checkpoint_every is 0"]),
        ({"sweep": {"clip": [], "learning_rate": 0.1}}, ["'clip' is []", "'learning_rate' is 0.1", "a list of one"]),
        ({"sweep": {"clip": [0.1], "entropy": [0.1, 0.2]}, "seeds": 0}, ["give all one length", "seeds is 0"]),
        ({"sweep": {"clip": [0.1, -1.0]}}, ["'clip' = [0.1, -1.0]: each must be a number > 0"]),
        ({"sweep": [0.1]}, ["sweep is [0.1]; it must be a dict"]),
        ({"devices": 3}, ["devices is 3; it must be a whole number >= 1 and <= 2"]),
        ({"devices": 2.0}, ["devices is 2.0"]),
    ],
)
def test_all_that_is_wrong_with_the_arguments_is_named(arguments: dict, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:  # not through `train`: in tests its types are checked before
        checked_settings(RL2, ENV, **({"meta_steps": 3, "devices": None} | arguments))
    for words in expected:
        assert words in str(refused.value)


def test_numpy_numbers_are_numbers() -> None:
    sweep = {"learning_rate": np.array([1e-3, 1e-2]), "clip": (np.float64(0.1), 0.2)}
    settings = checked_settings(RL2, ENV, None, meta_steps=np.int64(100), seed=np.int32(3), sweep=sweep)
    assert settings == Settings(100, 3, 1, 1, 10, 10, sweep={"learning_rate": [0.001, 0.01], "clip": [0.1, 0.2]})
    assert json.loads(json.dumps(dataclasses.asdict(settings)))["seed"] == 3


def test_lines_are_written_at_log_points_and_validations_only() -> None:
    steps = lambda run: [line["step"] for line in run.history]
    every = ax.train(RL2, ENV, meta_steps=12)
    some = ax.train(RL2, ENV, meta_steps=12, log_every=6, validate_every=4)
    assert steps(every) == [*range(1, 13)] and steps(some) == [4, 6, 8, 12]
    returns = [line["life_return"] for line in every.history]
    for line, start, end in zip(some.history, (0, 4, 6, 8), (4, 6, 8, 12), strict=True):
        assert line["life_return"] == pytest.approx(np.mean(returns[start:end]), rel=1e-5)
    # an odd checkpoint is a log point too: a training that goes on from it has nothing half gathered
    odd = ax.train(RL2, ENV, meta_steps=12, log_every=12, validate_every=12, checkpoint_every=8)
    assert steps(odd) == [8, 12]


class Mute(ax.RL2):
    """An update that tells nothing."""

    def update(self, meta: Any, lifetimes: Any, key: Any) -> Any:
        return super().update(meta, lifetimes, key)[0], {}


def test_a_learner_without_metrics_has_lines_and_validations(tmp_path: Path) -> None:
    mute = Mute(**{name: getattr(RL2, name) for name in ("tasks", "minibatches", "hidden")})
    run = ax.train(mute, ENV, meta_steps=4, validate_every=2, out=tmp_path / "run")
    assert [line["step"] for line in run.history] == [1, 2, 3, 4]
    assert ["validation" in line for line in run.history] == [False, True, False, True]


@pytest.mark.fault("F33")
def test_two_devices_learn_what_one_does(tmp_path: Path) -> None:
    one = ax.train(RL2, ENV, meta_steps=3)
    two = ax.train(RL2, ENV, meta_steps=3, devices=2)
    assert len(jax.tree.leaves(two.saved.states.meta)[0].sharding.device_set) == 2
    stopped = ax.train(RL2, ENV, meta_steps=3, out=tmp_path / "run", callbacks=[lambda now: now.step == 1])
    assert stopped.step == 1
    for other in (two, ax.resume(tmp_path / "run", devices=2)):
        ours, theirs = state_of(one), state_of(other)
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)
    with pytest.raises(ConfigError, match="must divide the learner's tasks = 5"):
        ax.train(ax.RL2(tasks=5, minibatches=1), ENV, meta_steps=1, devices=2)
    with pytest.raises(ConfigError, match="devices is 9"):
        ax.resume(tmp_path / "run", devices=9)


@pytest.mark.fault("F37")
def test_numbers_that_are_not_finite_end_the_training_and_spoil_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = {"meta_steps": 4, "seed": 7, "seeds": 2, "out": folder, "checkpoint_every": 1}
    ax.train(RL2, ENV, **arguments, callbacks=[lambda now: now.step == 2])
    run = open_run(folder)
    run.learner = dataclasses.replace(run.learner, learning_rate=1e30)
    with pytest.raises(NumericalError) as stopped:
        go_on(run, (), None, None, debug_nans=False)
    told = str(stopped.value)
    for words in ("is nan, at meta-step 3 of seed 7", "checkpoints/2", "smaller learning_rate or max_gradient"):
        assert words in told
    info = json.loads((folder / "run.json").read_text())
    assert (info["status"], info["reason"]) == ("failed", f"NumericalError: {told}")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert last["step"] == 3 and None in last["entropy"]
    assert open_run(folder).step == 2
    run = ax.resume(folder)
    assert run.step == 4 and np.isfinite(run.saved.best_score).all()
    assert "reason" not in json.loads((folder / "run.json").read_text())


@pytest.mark.fault("F08")
def test_a_configuration_that_was_altered_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ax.train(RL2, ENV, meta_steps=4, out=folder, callbacks=[lambda now: now.step == 2])
    whole = json.loads((folder / "config.json").read_text())

    def write(config: dict) -> None:
        (folder / "config.json").write_text(json.dumps(config))

    config = copy.deepcopy(whole)
    config["learner"]["fields"] |= {"learning_rate": 0.5, "hidden": 16}
    config["environment"]["fields"]["pulls"] = 5
    config["settings"]["meta_steps"] = 8
    write(config)
    with pytest.raises(ConfigError) as refused:
        ax.resume(folder)
    told = str(refused.value)
    for words in (
        "learner.fields.learning_rate was 0.003 and is 0.5",
        "learner.fields.hidden was 8 and is 16",
        "environment.fields.pulls was 4 and is 5",
        "settings.meta_steps was 4 and is 8",
    ):
        assert words in told
    write(whole | {"settings": whole["settings"] | {"checkpoint_every": 3, "log_every": 2}})
    assert ax.resume(folder).settings.log_every == 2
    assert notes_of(folder / "checkpoints" / "4")["config"]["settings"]["log_every"] == 2


@pytest.mark.fault("F08")
def test_a_run_goes_on_as_it_began(tmp_path: Path) -> None:
    ax.train(RL2, ENV, meta_steps=3, out=tmp_path / "run", callbacks=[lambda now: True])
    changed = {
        r"began with rl2.learning_rate = 0\.\d+, not 0.1": {"learner": dataclasses.replace(RL2, learning_rate=0.1)},
        "began with the learner rl2, not random": {"learner": RANDOM},
        r"began with bernoulli-bandit.pulls = \d+, not 7": {"env": dataclasses.replace(ENV, pulls=7)},
        "began with the environment bernoulli-bandit, not grid-navigation": {"env": ax.make("grid-navigation")},
    }
    for message, given in changed.items():
        with pytest.raises(ConfigError, match=message):
            ax.resume(tmp_path / "run", **given)
    assert ax.resume(tmp_path / "run", learner=RL2, env=ENV).step == 3


def test_numbers_that_are_not_finite_are_named_with_their_seed_and_sweep() -> None:
    with pytest.raises(NumericalError, match=r"of seed 0, learning_rate = 1e\+30; no checkpoint is kept"):
        ax.train(RL2, ENV, meta_steps=3, sweep={"learning_rate": [1e-3, 1e30]})


def test_a_state_that_is_not_finite_is_noticed_while_metrics_still_are() -> None:
    run = ax.train(RL2, ENV, meta_steps=3)
    metrics = {"entropy": np.ones((1, 2))}
    assert not spoilt(run.saved.states, metrics).any()
    meta = run.meta("last")
    bad = meta._replace(params=meta.params | {"log_std": jax.numpy.full_like(meta.params["value"]["bias"], np.nan)})
    assert spoilt(run.saved.states._replace(meta=bad), metrics).tolist() == [True]
    assert spoilt(run.saved.states, {"entropy": np.array([[1.0, np.inf]])}).tolist() == [True]


def test_what_was_never_validated_is_not_the_best(tmp_path: Path) -> None:
    run = ax.train(RL2, ENV, meta_steps=3, validate_every=3, out=tmp_path / "run", callbacks=[lambda now: True])
    for stopped in (run, open_run(tmp_path / "run")):
        with pytest.raises(CheckpointError, match=r"not validated yet .* take the one called last"):
            stopped.meta()
        jax.tree.map(np.testing.assert_array_equal, stopped.meta("last"), stopped.saved.states.meta)


def test_only_resume_opens_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    def die(now: ax.Now) -> None:
        raise KeyError(now.step)

    with pytest.raises(KeyError):
        ax.train(RL2, ENV, meta_steps=3, out=tmp_path / "run", checkpoint_every=3, callbacks=[die])
    home = tmp_path / "run" / "checkpoints"
    assert open_run(tmp_path / "run").step == 0  # a checkpoint is made before the first meta-step, to see that it can
    shutil.rmtree(home / "0")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (home / ".0.1").mkdir()  # as if its write had been cut off
    with pytest.raises(CheckpointError, match=r"no checkpoint yet.*adaptax resume"):
        open_run(tmp_path / "run")
    assert_same(ax.train(RL2, ENV, meta_steps=3, checkpoint_every=3), ax.resume(tmp_path / "run"))


def test_an_environment_of_ones_own_must_be_given_again(tmp_path: Path) -> None:
    env = OwnBandit(arms=3, pulls=4)
    run = ax.train(RANDOM, env, meta_steps=1, out=tmp_path / "run")
    for opening in (open_run, opened, ax.resume):
        with pytest.raises(ConfigError, match="your own environment 'OwnBandit'; give --env-file"):
            opening(tmp_path / "run")
    again = opened(tmp_path / "run", env)
    assert again.env is env and opened(run, ENV) is run
    assert_same(run, again)
    ax.train(RANDOM, ENV, meta_steps=1, out=tmp_path / "registered")
    assert opened(tmp_path / "registered", OwnBandit(arms=5)).env == ENV


def test_what_a_folder_cannot_hold_is_asked_for(tmp_path: Path) -> None:
    network = gru(ENV.observation_space.size + ENV.action_space.size + 2, 8)
    learner = dataclasses.replace(RL2, network=network)
    run = ax.train(learner, ENV, meta_steps=1, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["learner"]["own"] == ["network"]
    for wrong in (None, RL2):
        with pytest.raises(ConfigError, match=r"your own network, .* give the learner with the same network"):
            open_run(tmp_path / "run", learner=wrong)
    assert_same(run, opened(tmp_path / "run", learner=learner))


def test_a_learner_of_ones_own_must_be_given_again(tmp_path: Path) -> None:
    class OwnLearner(ax.Random):
        pass

    ax.train(OwnLearner(tasks=2), ENV, meta_steps=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"your own learner 'OwnLearner'; give .*learner="):
        open_run(tmp_path / "run")


def test_what_does_not_fit_elsewhere_is_named() -> None:
    run = ax.train(RL2, ENV, meta_steps=3)
    assert repr(run).startswith("<rl2 on bernoulli-bandit: meta-step 3 of 3, best validation ") and len(repr(run)) < 120
    with pytest.raises(CheckpointError, match="does not fit the learner with hidden = 16"):
        elsewhere(run, None, {"hidden": 16}, "best")
    with pytest.raises(CheckpointError, match="needs the sizes that it was trained on"):
        elsewhere(run, ax.make("bernoulli-bandit", arms=4), {"sample": True}, "best")


def test_a_descriptor_of_another_size_is_named() -> None:
    mazes = [ax.make("maze", rooms=rooms, horizon=8) for rooms in (3, 4)]  # what is seen is alike
    run = ax.train(testing.small(make_learner("hyper-dqn")), mazes[0], meta_steps=1, progress=None)
    sizes = [f"a descriptor of {env.spec().descriptor} numbers" for env in mazes]
    with pytest.raises(CheckpointError) as error:
        elsewhere(run, mazes[1], None, "best")
    assert sizes[0] != sizes[1] and all(size in str(error.value) for size in sizes)


def test_a_damaged_checkpoint_is_passed_over_and_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ax.train(RL2, ENV, meta_steps=4, out=tmp_path / "run", checkpoint_every=2)
    newest = tmp_path / "run" / "checkpoints" / "4" / "state.safetensors"
    damaged = bytearray(newest.read_bytes())
    damaged[-1] ^= 1
    newest.write_bytes(damaged)
    capsys.readouterr()
    assert open_run(tmp_path / "run").step == 2
    assert "checkpoints/4 is damaged: what follows is of meta-step 2" in capsys.readouterr().err


@pytest.mark.fault("F16")
def test_damaged_logs_are_mended_as_far_as_they_can_be(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ax.train(RL2, ENV, meta_steps=4, out=run, checkpoint_every=2, log_every=1)
    lines = len(read_lines(run / "metrics.jsonl"))
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'3\n\xff\xfe\n{"step": 4, "tra')
    with (run / "events.jsonl").open("a") as file:
        file.write('{"event": "check')
    (run / "run.json").write_text("{")
    assert len(open_run(run).history) == lines
    before = len(read_lines(run / "events.jsonl"))
    ax.resume(run, callbacks=[])
    shutil.rmtree(run / "checkpoints" / "4")
    ax.resume(run)
    assert len(read_lines(run / "metrics.jsonl")) == lines and len(read_lines(run / "events.jsonl")) > before
    assert json.loads((run / "run.json").read_text()) == {"status": "finished"}


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"meta_steps": 2, "speed": 3}},
        {"settings": {"meta_steps": "five"}},
        {"settings": []},
        {"learner": {"name": "rl2"}},
        {"learner": "rl2"},
        {"environment": {"name": 3, "fields": {}}},
    ],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, change: dict) -> None:
    ax.train(RL2, ENV, meta_steps=1, out=tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        open_run(tmp_path / "run")


def test_a_moved_folder_still_opens(tmp_path: Path) -> None:
    ax.train(RL2, ENV, meta_steps=2, out=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "über run")
    assert ax.resume(tmp_path / "über run").step == 2
