"""Splits that share no task: a task belongs to a split by what it is made of."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from adaptax.core.env import Sampler, TaskSplit
from adaptax.core.types import PRNGKey, Task

TENTHS = 10
TRAIN, VALIDATION, TEST = range(8), range(8, 9), range(9, 10)  # the tenths of all tasks that each split has

Content = Callable[[Task], Int[Array, "..."] | Bool[Array, "..."]]  # what tells two tasks apart, as whole numbers


def held_out(
    sample: Sampler,
    content: Content,
    ood: Sampler | None,
    legal: Callable[[Task], Bool[Array, ""]] = lambda _: jnp.array(True),
) -> TaskSplit:
    """Splits of kind `disjoint`: draws of `sample`, repeated until legal and in the split's own tenths of all tasks."""
    accept = lambda task, tenths: legal(task) & in_tenths(content(task), tenths)
    one_split = lambda tenths: lambda key: drawn_until(sample, lambda task: accept(task, tenths), key)
    return TaskSplit(one_split(TRAIN), one_split(VALIDATION), one_split(TEST), ood, "disjoint")


def drawn_until(sample: Sampler, accept: Callable[[Task], Bool[Array, ""]], key: PRNGKey) -> Task:
    """The first draw that is accepted."""

    def draw(now: tuple[PRNGKey, Task, Bool[Array, ""]]) -> tuple[PRNGKey, Task, Bool[Array, ""]]:
        key, key_now = jax.random.split(now[0])
        task = sample(key_now)
        return key, task, accept(task)

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(sample, key))
    return jax.lax.while_loop(lambda now: ~now[2], draw, (key, nothing, jnp.array(False)))[1]


def in_tenths(content: Int[Array, "..."] | Bool[Array, "..."], tenths: range) -> Bool[Array, ""]:
    """Whether a task of that content lies in these tenths."""
    tenth = (digest(content) % np.uint32(TENTHS)).astype(jnp.int32)
    return (tenth >= tenths.start) & (tenth < tenths.stop)


def digest(content: Int[Array, "..."] | Bool[Array, "..."]) -> UInt32[Array, ""]:
    """A number that looks random and depends on the content alone, on every machine.

    A polynomial modulo 2^32, then the last step of MurmurHash3 (Appleby), which spreads each bit over all.
    """
    numbers = content.reshape(-1).astype(jnp.uint32)
    powers = np.multiply.accumulate(np.full(len(numbers), 0x9E3779B1, np.uint32))
    mixed = jnp.sum(numbers * powers, dtype=jnp.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed = (mixed ^ (mixed >> shift)) * np.uint32(factor)
    return mixed
