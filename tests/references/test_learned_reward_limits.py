import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.lifetime import where
from adaptax.envs.learned_reward import WORTH, EmptyRooms, ObjectsTask, RandomABC, RoomsTask
from adaptax.references import references
from adaptax.references.learned_reward import distances, objects_optimal, sweep


def all_goals(env: EmptyRooms) -> RoomsTask:
    return RoomsTask(jnp.asarray(env.goals), jnp.ones(len(env.goals), int))


@eqx.filter_jit
def earned(env, task, actions):
    """What a life earns that plays `actions[y, x]`, or where there are as many as steps, these in order."""

    def move(state, step):
        action = actions[step] if actions.ndim == 1 else actions[state.position[1], state.position[0]]
        after, _, reward, terminated, truncated = env.step(task, state, action, jax.random.key(0))
        return where(terminated | truncated, env.reset(task, jax.random.key(0))[0], after), reward

    steps = env.horizon * env.tries
    return jax.lax.scan(move, env.reset(task, jax.random.key(0))[0], jnp.arange(steps))[1].sum()


def downhill(walls: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The action `[y, x]` that leads nearer to a goal."""
    away = np.pad(distances(walls, (int(goal[1]), int(goal[0]))), 1, constant_values=-1)
    away = np.where(away < 0, 10**6, away)
    return np.argmin([away[2:, 1:-1], away[1:-1, 2:], away[:-2, 1:-1], away[1:-1, :-2]], 0)


def test_who_knows_the_goal_finds_it_as_often_as_references_say():
    env = EmptyRooms(size=2, horizon=9, tries=5)
    tasks = all_goals(env)
    actions = jnp.asarray([downhill(env.walls, goal) for goal in env.goals])
    lives = jax.vmap(lambda task, actions: earned(env, task, actions))(tasks, actions)
    assert references(env, tasks, seed=0, episodes=5).values["oracle"] == pytest.approx(float(lives.mean()))


def test_distances_go_round_walls():
    walls = EmptyRooms(size=2).walls
    found = distances(walls, (0, 0))
    assert found[0].tolist() == [0, 1, -1, 5, 6] and found[:, 0].tolist() == [0, 1, -1, 5, 6]


def test_a_sweep_by_hand():
    """One room: right, up, left. With two steps an episode, the last cell is the first of the second."""
    for horizon, found in ((3, [[0, 1], [3, 2]]), (2, [[0, 1], [3, 2]])):
        env = EmptyRooms(rooms=1, size=2, horizon=horizon, tries=4)
        assert sweep(env, 4 * horizon).tolist() == found
        tasks = all_goals(env)
        values = references(env, tasks, seed=0, episodes=4).values
        steps, away, first = 4 * horizon, np.array([1, 2, 1]), np.array([1, 2, 3])
        assert values == pytest.approx(
            {"oracle": (steps // away).mean(), "sweep": (1 + (steps - first) // away).mean()}
        )


def test_a_sweep_enters_every_cell_once_and_not_before_it_can():
    env = EmptyRooms()
    found = sweep(env, 20_000)
    free = ~env.walls
    free[0, 0] = False
    assert len(set(found[free].tolist())) == free.sum() == 103 and (found[~free] == 0).all()
    within = (found[free] - 1) % env.horizon + 1
    assert (within >= distances(env.walls, (0, 0))[free]).all()
    assert found.max() == 124
    values = references(env, all_goals(env), seed=0, episodes=200).values
    assert f"{values['oracle']:.1f}, {values['sweep']:.1f}" == "2782.5, 2777.9"


def test_rooms_too_far_for_an_episode_are_never_found():
    env = EmptyRooms(rooms=1, size=5, horizon=3)
    values = references(env, RoomsTask(jnp.array([[4, 4]]), jnp.array([1])), seed=0, episodes=10).values
    assert values == {"oracle": 0, "sweep": 0}
    assert "sweep" not in references(env, all_goals(env), seed=0, episodes=10, split="ood").values


def test_the_better_of_a_and_c():
    """Its mean, by both their midpoints."""
    a, c = (low + (high - low) * (np.arange(1000) + 0.5) / 1000 for low, high in (WORTH[0], WORTH[2]))
    mean = np.maximum(a[:, None], c).mean()
    assert mean == pytest.approx(19 / 48, abs=1e-6) and f"{mean:.4f}" == "0.3958"
    worth = np.stack(np.broadcast_arrays(a[:, None], -0.2, c), -1).reshape(-1, 3)
    tasks = ObjectsTask(jnp.asarray(worth, float), jnp.ones(len(worth), int))
    found = references(RandomABC(), tasks, seed=0, episodes=50)
    assert found.values["oracle"] == pytest.approx(125 * 19 / 48, abs=1e-4)
    assert found.optimal is not None and f"{found.optimal:.3f}" == "49.066"
    assert references(RandomABC(), tasks, seed=0, episodes=50, split="ood").optimal is None


def test_a_life_collects_as_many_objects_as_references_say():
    env, task = RandomABC(tries=5), ObjectsTask(jnp.array([0.7, -0.3, 0.4]), jnp.array(1))
    right_and_down = jnp.asarray([1, 1, 2, 2] * 13)
    tasks = jax.tree.map(lambda x: np.asarray(x)[None], task)
    paid = float(earned(env, task, right_and_down))
    assert references(env, tasks, seed=0, episodes=5).values["safe"] == pytest.approx(paid, abs=1e-4)
    assert paid == pytest.approx(12 * 0.4, abs=1e-4)


@pytest.mark.parametrize("choices", [0, 1, 2, 3, 8])
def test_the_optimum_of_objects_against_all_policies(choices):
    """Each worth on a grid of 40 values; index 40 says that it is not known yet. Every object may be chosen always."""
    grids = [low + (high - low) * (np.arange(40) + 0.5) / 40 for low, high in WORTH]
    value = np.zeros((41, 41, 41))
    for _ in range(choices):
        options = []
        for axis, grid in enumerate(grids):
            known = np.moveaxis(value, axis, -1)[..., :40] + grid
            both = np.concatenate([known, known.mean(-1, keepdims=True)], -1)
            options.append(np.moveaxis(both, -1, axis))
        value = np.max(options, 0)
    assert objects_optimal(choices) == pytest.approx(value[40, 40, 40], abs=2e-3 * max(choices, 1))
