import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.cells import GridState
from adaptax.envs.frozen_lake import FrozenLake
from adaptax.references.maze import UNREACHABLE, steps_to
from lives import DOWN, LEFT, NOOP, RIGHT, UP, draw, rows, shown, walked


def lake(*holes: tuple[int, int], size: int = 4):
    task = np.zeros((size, size), bool)
    for x, y in holes:
        task[y, x] = True
    return jnp.asarray(task)


def test_a_hole_ends_the_episode():
    walk = walked(FrozenLake(), lake((2, 1)), [DOWN, RIGHT, UP, NOOP, RIGHT])
    assert walk.seen.tolist() == [0, 1, 5, 5, 6] and not walk.reward.any()
    assert walk.terminated.tolist() == [False] * 4 + [True] and not walk.truncated.any()


def test_the_goal_pays_and_ends_the_episode():
    walk = walked(FrozenLake(), lake((1, 1)), [UP, UP, UP, RIGHT, RIGHT, RIGHT])
    assert walk.seen.tolist() == [4, 8, 12, 13, 14, 15]
    assert walk.reward.tolist() == walk.terminated.tolist() == [False] * 5 + [True]


def test_an_episode_has_as_many_steps_as_the_lake_has_cells():
    walk = walked(FrozenLake(size=3), lake(size=3), [NOOP] * 9)
    assert walk.truncated.tolist() == [False] * 8 + [True] and not walk.terminated.any()


def test_all_lakes_can_be_crossed_and_each_is_in_one_split():
    counts = {"train": 3000, "validation": 400, "test": 400}
    drawn = {split: draw(FrozenLake(size=3), split, count) for split, count in counts.items()}
    drawn["ood"] = draw(FrozenLake(size=3), "ood", 400)
    for holes in drawn.values():
        assert (steps_to(~holes, np.full((len(holes), 2), 2))[:, 0, 0] < UNREACHABLE).all()
    found = {split: rows(holes) for split, holes in drawn.items()}
    legal = set.union(*found.values())
    assert len(legal) == sum(len(found[split]) for split in counts)
    assert found["ood"] <= found["test"]


def test_lakes_have_as_many_holes_as_they_should():
    """Each cell but two is a hole with the given probability, where the lake can still be crossed."""
    free = ((np.arange(2**14)[:, None] >> np.arange(14)) & 1).astype(bool)
    free = np.concatenate([np.ones((2**14, 1), bool), free, np.ones((2**14, 1), bool)], 1)
    crossed = steps_to(free.reshape(-1, 4, 4), np.full((2**14, 2), 3))[:, 0, 0] < UNREACHABLE
    assert crossed.sum() == 3828
    holes = 16 - free.sum(1)
    chance = crossed * 0.2**holes * 0.8 ** (14 - holes)
    expected = (chance * holes).sum() / chance.sum()
    train = draw(FrozenLake(), "train", 4000).sum((1, 2))
    assert train.mean() == pytest.approx(expected, abs=0.12)  # eight tenths of them, weighted by their chance
    assert draw(FrozenLake(), "ood", 500).sum((1, 2)).mean() > expected + 0.5


def test_ice_that_is_slippery_slides_to_both_sides():
    env, position = FrozenLake(slip=2 / 3), jnp.array([1, 1], jnp.int32)
    state = GridState(position, jnp.zeros((), jnp.int32))
    keys = jax.random.split(jax.random.key(0), 3000)
    move = jax.jit(jax.vmap(lambda action, key: env.step(lake(), state, action, key)[1], (None, 0)))
    for action, ends in ((UP, [4, 6, 9]), (RIGHT, [1, 6, 9]), (LEFT, [1, 4, 9]), (DOWN, [1, 4, 6])):
        cells, counts = np.unique(move(jnp.asarray(action), keys), return_counts=True)
        assert cells.tolist() == ends and np.abs(counts / 3000 - 1 / 3).max() < 0.04
    assert set(np.asarray(move(jnp.asarray(NOOP), keys)).tolist()) == {5}


def test_maps_by_hand_are_checked():
    assert not FrozenLake().task_problems(np.asarray(lake((1, 1))))
    for wrong in (lake((0, 1), (1, 0)), lake((0, 0)), lake((3, 3))):
        assert len(FrozenLake().task_problems(np.asarray(wrong))) == 1


def test_the_picture_shows_the_holes():
    env, task = FrozenLake(), lake((1, 1), (2, 3))
    roles = shown(env, task, env.reset(task, jax.random.key(0))[0])
    assert roles.count("hazard") == roles.count("hidden") == 2 and roles.count("goal") == roles.count("agent") == 1
    np.testing.assert_array_equal(env.describe(task), np.asarray(task).ravel())
