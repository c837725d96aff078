import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.testing.probes import CueRecall, GoalOnLine, IdentityTask


def live(env, task, policy, episodes: int, seed: int) -> np.ndarray:
    """Returns of the episodes; `policy` maps (memory, observation, last reward, time) to (action, memory)."""
    key, memory, reward, returns = jax.random.key(seed), jnp.asarray(0), jnp.zeros(()), []
    step = jax.jit(env.step)
    for _ in range(episodes):
        key, key_reset = jax.random.split(key)
        state, observation = env.reset(task, key_reset)
        total, over, time = 0.0, False, 0
        while not over:
            key, key_step = jax.random.split(key)
            action, memory = policy(memory, observation, float(reward), time)
            state, observation, reward, terminated, truncated = step(task, state, jnp.asarray(action), key_step)
            total, over, time = total + float(reward), bool(terminated | truncated), time + 1
        assert time == env.episode_steps
        returns.append(total)
    return np.array(returns)


def test_cue_recall_pays_for_memory_alone():
    env = CueRecall(cues=3, delay=2)
    task = env.tasks.train(jax.random.key(0))
    remember = lambda memory, seen, reward, time: (seen if time == 0 else memory,) * 2
    np.testing.assert_allclose(live(env, task, remember, 20, 0), env.optimum)
    reacting = live(env, task, lambda memory, seen, reward, time: (seen % 3, memory), 60, 1)
    assert abs(reacting.mean() - env.blind) < 3 * np.sqrt(2 / 9 / 60)


def test_the_cue_is_shown_once():
    env = CueRecall(cues=4, delay=3)
    state, seen = env.reset(jnp.zeros(()), jax.random.key(3))
    assert int(seen) == int(state.cue) < 4
    for _ in range(4):
        state, seen, _, _, _ = env.step(jnp.zeros(()), state, jnp.asarray(0), jax.random.key(0))
        assert int(seen) == 4


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_goal_on_a_line_pays_progress(side):
    env, task = GoalOnLine(horizon=4, trials=3), jnp.asarray(side)
    towards = live(env, task, lambda *_: (int(side > 0), 0), 2, 0)
    np.testing.assert_allclose(towards, env.optimum)


def test_goal_on_a_line_needs_adaptation():
    env = GoalOnLine(horizon=4, trials=3)
    fixed = lambda memory, seen, reward, time: (int(seen[0] >= 0), memory)
    returns = [live(env, jnp.asarray(side), fixed, 1, 0).mean() for side in (-1.0, 1.0)]
    np.testing.assert_allclose(np.mean(returns), env.blind, atol=1e-6)


def test_goal_on_a_line_bayes_optimal_agent():
    env = GoalOnLine(horizon=4, trials=3)

    def adapting(memory, seen, reward, time):
        memory = int(reward > 0) + 1 if memory == 0 and reward else memory  # 0: not tried yet; went right first
        return (1 if memory in (0, 2) else 0), memory

    totals = [live(env, jnp.asarray(side), adapting, env.trials, 0).sum() for side in (-1.0, 1.0)]
    np.testing.assert_allclose(np.mean(totals), env.optimal_total, atol=1e-6)


def test_both_sides_are_drawn_equally_often():
    sides = np.asarray(jax.vmap(GoalOnLine().tasks.test)(jax.random.split(jax.random.key(0), 400)))
    assert set(sides) == {-1.0, 1.0}
    assert abs(sides.mean()) < 0.15


def test_identity_task_pays_for_repeating_what_is_seen():
    env = IdentityTask(symbols=3, horizon=10)
    task = env.tasks.train(jax.random.key(0))
    np.testing.assert_allclose(live(env, task, lambda m, seen, r, t: (seen, m), 2, 0), env.optimum, rtol=1e-6)
    constant = live(env, task, lambda m, seen, r, t: (0, m), 15, 1)
    assert abs(constant.mean() - env.blind) < 3 * np.sqrt(2 / 9 / 150)
