import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.contextual import BarcodeBandit
from adaptax.envs.dark import DarkKeyDoor, DarkRoom
from adaptax.envs.splits import TENTHS, digest, drawn_until, held_out, in_tenths
from adaptax.envs.two_step import TwoStep

numbers = st.lists(st.integers(0, 100), min_size=1, max_size=30)


def by_hand(content: list[int]) -> int:
    """The same, with Python's integers."""
    mixed = sum(x * pow(0x9E3779B1, i, 2**32) for i, x in enumerate(content, 1)) % 2**32
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed = (mixed ^ (mixed >> shift)) * factor % 2**32
    return mixed


@given(numbers)
def test_digest_is_what_it_says(content):
    assert int(digest(jnp.array(content, jnp.int32))) == by_hand(content)


def test_digests_stay_what_they_are():
    """Or agents of before would be tested on what they were trained on."""
    assert int(digest(jnp.arange(5, dtype=jnp.int32))) == by_hand([0, 1, 2, 3, 4]) == 3456772423


def test_tenths_are_equally_large_and_each_task_lies_in_one():
    contents = ((np.arange(4096)[:, None] >> np.arange(12)) & 1).astype(bool)
    lies = jax.jit(jax.vmap(lambda x: jnp.stack([in_tenths(x, range(i, i + 1)) for i in range(TENTHS)])))(contents)
    assert (lies.sum(1) == 1).all()
    assert ((np.asarray(lies).sum(0) - 409.6) ** 2 / 409.6).sum() < 27.9  # chi-square, 9 degrees of freedom, 0.1 %


def test_splits_share_nothing_and_leave_nothing_out():
    splits = held_out(lambda key: jax.random.randint(key, (), 0, 200, jnp.int32), lambda task: task, None)
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = [set(jax.jit(jax.vmap(splits.sampler(name)))(keys).tolist()) for name in ("train", "validation", "test")]
    assert splits.kind == "disjoint"
    assert set.union(*drawn) == set(range(200)) and sum(map(len, drawn)) == 200


def test_only_legal_tasks_are_drawn():
    sample = lambda key: jax.random.uniform(key)
    drawn = jax.vmap(lambda key: drawn_until(sample, lambda x: x > 0.9, key))(jax.random.split(jax.random.key(0), 500))
    assert (drawn > 0.9).all() and abs(float(drawn.mean()) - 0.95) < 0.01


@pytest.mark.parametrize("env", [DarkRoom(start="random"), DarkKeyDoor(start="random"), BarcodeBandit(bits=4)])
def test_what_training_draws_too_is_not_called_out_of_distribution(env):
    assert env.tasks.ood is None and type(env)().tasks.ood is not None


def test_rewards_that_tell_less_than_those_of_training():
    poor, good = TwoStep(good=0.8, poor=0.2).tasks.sampler("ood")(jax.random.key(0)).pays
    assert (poor, good) == (pytest.approx(0.275), pytest.approx(0.725))
