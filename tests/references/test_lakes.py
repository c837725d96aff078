from functools import lru_cache

import numpy as np
import pytest

from adaptax.envs.frozen_lake import FrozenLake
from adaptax.references import references
from adaptax.references.frozen_lake import optimistic, slippery_oracle
from adaptax.references.maze import arrivals, steps_to
from lives import by_map, downhill, draw, lived


def ways(holes):
    return steps_to(~holes, np.full((len(holes), 2), holes.shape[-1] - 1))


def test_a_small_lake_is_always_crossed_in_six_steps():
    tasks = draw(FrozenLake(), "test", 500)
    assert (ways(tasks)[:, 0, 0] == 6).all()
    values = references(FrozenLake(), tasks, seed=0, episodes=10).values
    assert values["oracle"] == 160 // 6 and 20 < values["optimistic"] < 26


def test_the_oracle_is_who_walks_the_shortest_way():
    env = FrozenLake(size=6)
    tasks = draw(env, "ood", 200)
    returns = lived(env, tasks, downhill(ways(tasks)), by_map, 3 * 36)
    assert references(env, tasks, seed=0, episodes=3, split="ood").values["oracle"] == pytest.approx(returns.mean())
    assert len(set(returns.tolist())) > 1


def test_optimism_falls_into_each_hole_once():
    """On the way there are three holes: up first, the shortest way that is left in each episode."""
    env, holes = FrozenLake(size=3), np.zeros((1, 3, 3), bool)
    holes[0, 2, 0] = holes[0, 1, 1] = True  # up and up; up, right; then right, right, up, up
    assert [int(optimistic(env, holes, life)[0]) for life in (2, 4, 7, 8, 11, 12)] == [0, 0, 0, 1, 1, 2]


def test_both_programs_agree_where_nothing_slips():
    tasks = draw(FrozenLake(), "test", 20)
    np.testing.assert_allclose(slippery_oracle(FrozenLake(), tasks, 40), arrivals(ways(tasks)[:, 0, 0], 16, 40))


def test_slippery_ice_by_another_program():
    """Written for one map, one state at a time."""
    env, life = FrozenLake(size=3, slip=0.4, horizon=7), 15
    holes = draw(env, "train", 1)[0]
    moves = [(0, 1), (1, 0), (0, -1), (-1, 0)]

    @lru_cache(None)
    def value(x: int, y: int, time: int, left: int) -> float:
        if left == 0:
            return 0.0

        def after(move: int) -> float:
            to_x, to_y = (min(max(a + b, 0), 2) for a, b in zip((x, y), moves[move % 4], strict=True))
            over = (to_x, to_y) == (2, 2) or holes[to_y, to_x] or time + 1 == 7
            rest = value(0, 0, 0, left - 1) if over else value(to_x, to_y, time + 1, left - 1)
            return float((to_x, to_y) == (2, 2)) + rest

        stay = value(0, 0, 0, left - 1) if time + 1 == 7 else value(x, y, time + 1, left - 1)
        return max(stay, *(0.6 * after(a) + 0.2 * (after(a - 1) + after(a + 1)) for a in range(4)))

    assert slippery_oracle(env, holes[None], life)[0] == pytest.approx(value(0, 0, 0, life))


def test_on_slippery_ice_the_shortest_way_is_not_the_best():
    env = FrozenLake(slip=2 / 3, holes=0.25)
    tasks = draw(env, "test", 300)
    oracle = references(env, tasks, seed=0, episodes=10).values["oracle"]
    returns = lived(env, tasks, downhill(ways(tasks)), by_map, 160)
    assert returns.mean() + 4 * returns.std() / np.sqrt(300) < oracle < 26


def test_too_large_a_slippery_lake_has_no_value():
    env = FrozenLake(size=16, slip=0.1)
    assert references(env, np.zeros((10, 16, 16), bool), seed=0, episodes=10) == (None, {})
