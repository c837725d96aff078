import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.two_step import TwoStep
from adaptax.references.two_step import stays, two_step_optimal

LIVES = 4000


def lived(env: TwoStep, choose) -> dict[str, np.ndarray]:
    """Lives of `choose(told, better, key)`; `told` counts what has spoken for the second state being good."""

    def life(task, key):
        def trial(told, entry):
            number, key = entry
            key_choose, *keys = jax.random.split(key, 3)
            state, _ = env.reset(task, key)
            action = choose(told, task.better[number], key_choose)
            state, place, _, _, _ = env.step(task, state._replace(trial=number), action, keys[0])
            _, home, reward, _, _ = env.step(task, state, action, keys[1])
            says_second = (place == 2) == (reward > 0)
            return told + jnp.where(says_second, 1, -1), (action, place, reward, home)

        numbers = jnp.arange(env.trials, dtype=jnp.int32)
        return jax.lax.scan(trial, jnp.zeros((), jnp.int32), (numbers, jax.random.split(key, env.trials)))[1]

    tasks = jax.vmap(env.tasks.test)(jax.random.split(jax.random.key(0), LIVES))
    found = jax.jit(jax.vmap(life))(tasks, jax.random.split(jax.random.key(1), LIVES))
    return dict(zip(("action", "place", "reward", "home"), map(np.asarray, found), strict=True))


def favoured(told, better, key):
    """What the evidence favours."""
    del better
    return jnp.where(told == 0, jax.random.bernoulli(key).astype(jnp.int32), (told > 0).astype(jnp.int32))


def test_who_chooses_what_the_evidence_favours_earns_the_optimum():
    found = lived(TwoStep(), favoured)
    total = found["reward"].sum(1)
    assert abs(total.mean() - two_step_optimal(100)) < 3 * total.std() / np.sqrt(LIVES)
    assert np.all(found["home"] == 0)
    assert (found["place"] == found["action"] + 1).mean() == pytest.approx(0.75, abs=0.005)


def test_who_knows_the_good_state_earns_70_or_where_it_flips_74():
    for env, known in ((TwoStep(), 70.0), (TwoStep(common=0.8, flip=0.025), 74.0)):
        total = lived(env, lambda told, better, key: better)["reward"].sum(1)
        assert abs(total.mean() - known) < 3 * total.std() / np.sqrt(LIVES)


def test_the_good_state_flips_as_often_as_it_should():
    env = TwoStep(flip=0.025)
    tasks = jax.jit(jax.vmap(env.tasks.train))(jax.random.split(jax.random.key(0), 2000))
    flips = np.abs(np.diff(np.asarray(tasks.better), axis=1)).mean()
    assert abs(flips - 0.025) < 3 * np.sqrt(0.025 / (2000 * 99))


def test_an_episode_is_all_trials_and_each_has_two_steps():
    env, key = TwoStep(trials=3), jax.random.key(0)
    task = env.tasks.train(key)
    state, place = env.reset(task, key)
    step = jax.jit(env.step)
    places, ends = [int(place)], []
    for _ in range(6):
        state, place, _, _, over = step(task, state, jnp.asarray(0), key)
        places.append(int(place))
        ends.append(bool(over))
    assert [place == 0 for place in places] == [True, False, True, False, True, False, True]
    assert ends == [False] * 5 + [True]


def test_planning_shows_as_an_interaction_and_habit_does_not():
    rng = np.random.default_rng(0)
    shape = (500, 200)

    def life_of(repeats) -> np.ndarray:
        """The interaction of an agent that repeats its choice where `repeats(rewarded, common)`, else changes it."""
        action, place, reward = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
        choice = rng.integers(0, 2, shape[0])
        for trial in range(shape[1] // 2):
            common, paid = rng.random(shape[0]) < 0.75, rng.random(shape[0]) < 0.5
            action[:, 2 * trial] = choice
            place[:, 2 * trial + 1] = 1 + np.where(common, choice, 1 - choice)
            reward[:, 2 * trial + 1] = paid
            choice = np.where(repeats(paid, common), choice, 1 - choice)
        return stays(action, place, reward).interaction

    habit = life_of(lambda paid, common: paid)
    planner = life_of(lambda paid, common: paid == common)
    np.testing.assert_allclose(habit, 0.0)
    np.testing.assert_allclose(planner, 2.0)
