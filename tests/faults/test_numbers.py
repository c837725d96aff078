"""F37 and F38: numbers that are not finite end a training, are named where they arose, and spoil no checkpoint."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import lab
import numpy as np
import pytest

import adaptax as ax
from adaptax.core.trainer import draw
from adaptax.errors import NumericalError
from adaptax.fields import Count
from adaptax.ops.spaces import Box, Discrete
from adaptax.runs import open_run, read_lines

LIVES, AT, POISON = 64, 10, 3
NOWHERE = 2.0


class Marked(ax.Environment):
    """Shows a number that names the task. Where that is above `limit`, what step `POISON` returns is spoilt."""

    limit: float = NOWHERE
    spoilt: Literal["reward", "observation"] = "reward"
    by: Literal["nan", "inf", "-inf"] = "nan"

    observation_space = property(lambda self: Box(0.0, 1.0, (2,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: 5)
    episodes = property(lambda self: 1)
    tasks = property(lambda self: ax.TaskSplit.iid(jax.random.uniform, None))

    def reset(self, task, key):
        return jnp.zeros((), jnp.int32), jnp.stack([task, jnp.array(0.5)])

    def step(self, task, state, action, key):
        here = (task > self.limit) & (state == POISON)
        bad = jnp.where(here, float(self.by), 0.0)
        reward = action.astype(float) + (bad if self.spoilt == "reward" else 0.0)
        seen = jnp.stack([task, 0.5 + (bad if self.spoilt == "observation" else 0.0)])
        return state + 1, seen, reward, jnp.array(False), state + 1 >= 5

    def describe(self, task):
        return task[None]


class Spoilt(ax.RL2):
    """Goes wrong, in the way that `how` says, where a task's number is above `limit`."""

    how: float = 0.0
    limit: float = NOWHERE

    def act(self, meta, inner, carry, step, key, explore):
        action, carry, acted = super().act(meta, inner, carry, step, key, explore)
        hit = (self.how == 1.0) & (step.observation[0] > self.limit)
        return action, carry, acted._replace(log_prob=jnp.where(hit, jnp.inf, acted.log_prob))

    def _loss(self, params, part, entropy_weight):
        loss, metrics = super()._loss(params, part, entropy_weight)
        hit = jnp.any(part.inputs[..., 0] > self.limit)
        steep = hit & (self.how == 3.0)
        flat = jnp.where(steep, jnp.square(params["value"]["bias"][0] * 0.0), 1.0)
        loss = loss + jnp.where(steep, jnp.sqrt(flat), 0.0)  # 0, and its gradient is 0 times infinity
        return loss * jnp.log(jnp.where(hit & (self.how == 2.0), -1.0, jnp.e)), metrics

    def update(self, meta, lifetimes, key):
        updated, metrics = super().update(meta, lifetimes, key)
        hit = jnp.any(lifetimes.data.step.observation[..., 0] > self.limit) & (self.how == 4.0)
        bias = updated.params["policy"]["bias"] + jnp.where(hit, jnp.inf, 0.0)
        return updated._replace(params=updated.params | {"policy": updated.params["policy"] | {"bias": bias}}), metrics


SPOILT = partial(Spoilt, tasks=LIVES, minibatches=1, epochs=2, hidden=8)
LEARNER = SPOILT()
TRAIN: Any = {"meta_steps": 14, "log_every": 2, "checkpoint_every": 3, "progress": None}


def poisoned_life() -> tuple[int, int, float]:
    """A seed, a life and a limit such that the first task above the limit is that life's, in meta-step `AT`."""
    learner = LEARNER.bind(Marked().spec())
    for seed in range(100):
        key = jax.random.split(jax.random.key(seed), 3)[1]  # as `initial_state` splits it
        drawn = lambda i: draw(learner, Marked(), jax.random.split(jax.random.fold_in(key, i))[0])[0]  # noqa: B023
        tasks = np.stack([drawn(i) for i in range(AT)])
        before, at = tasks[:-1].max(), tasks[-1]
        if np.sort(at)[-2] < before < at.max():
            return seed, int(at.argmax()), float(before)
    raise AssertionError("no seed will do")


SEED, LIFE, LIMIT = poisoned_life()


def stopped(folder: Path, env: ax.Environment, learner: ax.Learner = LEARNER, **more: Any) -> str:
    """What a training says that must end with a `NumericalError` and leave nothing but good checkpoints."""
    with pytest.raises(NumericalError) as error:
        ax.train(learner, env, seed=SEED, out=folder, **TRAIN, **more)
    kept = open_run(folder, env=env, learner=learner)
    assert lab.leftovers(folder) == [] and kept.step == 9
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(kept.saved.states.meta))
    assert [line["step"] for line in read_lines(folder / "metrics.jsonl")] == [2, 3, 4, 6, 8, 9, AT]
    return str(error.value)


IN_WORDS = {
    "reward is nan": Marked(limit=LIMIT),
    "reward is -inf": Marked(limit=LIMIT, by="-inf"),
    "next observation is inf": Marked(limit=LIMIT, spoilt="observation", by="inf"),
}


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize("words", IN_WORDS)
def test_what_an_environment_spoils_is_named_with_its_step_life_and_task(tmp_path: Path, words: str) -> None:
    told = stopped(tmp_path / "run", IN_WORDS[words])
    assert told.startswith(f"the environment's {words} in step {POISON} of life {LIFE}, in the task 0.9")
    assert (
        f"at meta-step {AT} of seed {SEED}; the last good checkpoint is {tmp_path}/run/checkpoints/9. Look at" in told
    )


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (1.0, f"the learner's record of act is inf in step 0 of life {LIFE}, in the task 0.9"),
        (2.0, "the metric entropy is nan, at meta-step"),  # after a first pass that spoilt the parameters
        (3.0, "the metric entropy is nan, at meta-step"),
        (4.0, "the outer state params.policy.bias is inf, at meta-step"),
    ],
)
def test_what_a_learner_spoils_is_named(tmp_path: Path, how: float, words: str) -> None:
    told = stopped(tmp_path / "run", Marked(), SPOILT(how=how, limit=LIMIT))
    assert told.startswith(words) and "Try a smaller learning_rate" in told


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize(("how", "operation"), [(2.0, "log"), (3.0, "mul")])
def test_the_operation_is_named_on_demand(tmp_path: Path, how: float, operation: str) -> None:
    learner = SPOILT(how=how, limit=LIMIT)
    told = stopped(tmp_path / "run", Marked(), learner, debug_nans=True)
    assert f"The operation: nan generated by primitive: {operation}" in told


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
def test_an_update_can_be_passed_over_and_the_run_resumed(tmp_path: Path) -> None:
    env = Marked(limit=LIMIT)
    whole = ax.train(LEARNER, env, seed=SEED, seeds=2, out=tmp_path / "whole", on_nan="skip-update", **TRAIN)
    events = [e for e in read_lines(tmp_path / "whole" / "events.jsonl") if e["event"] == "update passed over"]
    assert events[0]["step"] <= AT and f"of seed {SEED}" in " ".join(e["reason"] for e in events)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(whole.saved.states.meta))
    assert int(whole.saved.states.meta.updates[0]) == 14 - sum(f"of seed {SEED}" in e["reason"] for e in events)
    nothing = [line["step"] for line in whole.history if line["entropy"][0] is None]
    assert nothing == [AT]  # the one line that holds no other meta-step
    stop = ax.train(
        LEARNER,
        env,
        seed=SEED,
        seeds=2,
        out=tmp_path / "again",
        on_nan="skip-update",
        callbacks=[lambda now: now.step == 8],
        **TRAIN,
    )
    assert stop.step == 8
    assert lab.state_hash(ax.resume(tmp_path / "again", env=env, learner=LEARNER, progress=None)) == lab.state_hash(
        whole
    )
    assert lab.lines_of(tmp_path / "again") == lab.lines_of(tmp_path / "whole")


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
def test_a_fault_far_from_any_line_is_named_as_well(tmp_path: Path) -> None:
    env = Marked(limit=LIMIT)
    settings = {"meta_steps": 14, "log_every": 14, "checkpoint_every": 14, "validate_every": 14, "progress": None}
    with pytest.raises(NumericalError, match=f"^the environment's reward is nan in step {POISON} of life {LIFE}"):
        ax.train(LEARNER, env, seed=SEED, out=tmp_path / "run", **settings)
    (line,) = read_lines(tmp_path / "run" / "metrics.jsonl")
    assert line["step"] == AT and "sound" not in line


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
def test_ten_in_a_row_are_too_many_whoever_counts(tmp_path: Path) -> None:
    """Also where the job was ended in between."""
    env, folder = Marked(limit=0.0), tmp_path / "run"
    stop = lambda now: now.step == 6
    assert ax.train(LEARNER, env, on_nan="skip-update", out=folder, callbacks=[stop], **TRAIN).step == 6
    with pytest.raises(NumericalError, match=r"the last 10 updates were passed over .* checkpoint is .*/9\. Look"):
        ax.resume(folder, env=env, learner=LEARNER, progress=None)
    events = [e for e in read_lines(folder / "events.jsonl") if e["event"] == "update passed over"]
    assert [e["step"] for e in events] == [1, 2, 3, 4, 5, 6, 7, 8, 9] and events[0]["of"] == ["seed 0"]


@pytest.mark.fault("F37")
def test_a_validation_that_diverges_is_no_better_than_any(tmp_path: Path) -> None:
    env, settings = Marked(limit=0.999), TRAIN | {"validate_every": 7}
    run = ax.train(LEARNER, env, on_nan="skip-update", out=tmp_path / "run", **settings)
    assert run.step == 14 and [line["validation"] for line in run.history if "validation" in line] == [None, None]
    events = [e["event"] for e in read_lines(tmp_path / "run" / "events.jsonl")]
    assert events.count("validation passed over") == 2 and np.isneginf(run.saved.best_score).all()
    with pytest.raises(NumericalError, match=r"in the validation at meta-step 7: "):
        ax.train(LEARNER, env, out=tmp_path / "stopped", **settings)


class Sick(ax.Random):
    """Agents that live for five meta-steps, and end in NaN after the third."""

    lifespan = property(lambda self: 5)  # type: ignore[assignment]

    def begin(self, meta, key, descriptor):
        return (jnp.zeros(()),), ()

    def adapt(self, meta, inner, data, key):
        return jax.tree.map(lambda x: jnp.where(x >= 2.0, jnp.nan, x + 1.0), inner)


@pytest.mark.fault("F37")
@pytest.mark.usefixtures("unvalidated")
def test_an_agent_that_outlasts_a_meta_step_is_looked_at_too(tmp_path: Path) -> None:
    settings = {"meta_steps": 6, "checkpoint_every": 1, "progress": None}
    with pytest.raises(NumericalError, match="the inner state after the last adaptation"):
        ax.train(Sick(tasks=5), Marked(), out=tmp_path / "run", **settings)
    run = open_run(tmp_path / "run", env=Marked(), learner=Sick(tasks=5))
    lives = run.saved.states.lives
    assert lives is not None and all(np.isfinite(x).all() for x in jax.tree.leaves(lives.agent))


class Extreme(ax.Environment):
    """Pays and shows numbers at the ends of what there is."""

    pay: Literal["1e30", "-1e30", "1e-30", "1", "0"] = "1"
    show: Literal["1e8", "1e-30", "0"] = "0"
    horizon: Count = 3

    observation_space = property(lambda self: Box(-float("inf"), float("inf"), (2,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: 2)
    tasks = property(lambda self: ax.TaskSplit.iid(jax.random.uniform, None))

    def reset(self, task, key):
        return jnp.zeros((), jnp.int32), jnp.full(2, float(self.show))

    def step(self, task, state, action, key):
        seen = float(self.show) * (1.0 + action.astype(float))
        over = state + 1 >= self.horizon
        return state + 1, jnp.full(2, seen), jnp.array(float(self.pay)), jnp.array(False), over

    def describe(self, task):
        return task[None]


EXTREMES = {
    "rewards of 1e30": Extreme(pay="1e30"),
    "rewards of -1e30": Extreme(pay="-1e30", horizon=1),
    "rewards of 1e-30": Extreme(pay="1e-30"),
    "constant rewards": Extreme(),
    "no rewards, so no advantages": Extreme(pay="0", show="1e-30"),
    "observations of 1e8": Extreme(show="1e8"),
    "episodes of one step": Extreme(horizon=1),
}
FEW = ("rewards of 1e30", "observations of 1e8", "no rewards, so no advantages")
CASES = [pytest.param(name, marks=[] if name in FEW else pytest.mark.full) for name in EXTREMES]
LEARNERS = {
    "rl2": ax.RL2(tasks=1, minibatches=1, hidden=8),
    "rl2 that normalises": ax.RL2(tasks=2, minibatches=1, hidden=8, normalise=True),
    "maml": ax.MAML(tasks=1, copies=1, hidden=8),
}


@pytest.mark.fault("F38")
@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_extreme_numbers_stay_finite_or_are_told(tmp_path: Path, learner: str, name: str, record_property) -> None:
    """Either all is finite to the end, or the training ends with advice; one or the other, never silence."""
    try:
        run = ax.train(LEARNERS[learner], EXTREMES[name], meta_steps=5, out=tmp_path / "run", progress=None)
        told = "finite"
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.saved.states.meta))
        assert all(None not in line.values() for line in run.history)
    except NumericalError as error:
        told = str(error).partition(",")[0]
        assert "Try a smaller learning_rate" in str(error) and name.startswith("rewards of")
    record_property(f"{name}, {learner}", told)
