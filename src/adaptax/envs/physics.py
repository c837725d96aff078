"""How physical parameters are drawn: by factors of their standard value, equally often halved as doubled."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.types import PRNGKey
from adaptax.fields import Range

Spread = Annotated[float, Range(1, 10)]
OUTSIDE = 1.25  # out of distribution, a factor lies between the spread and the spread to this power


def factors(key: PRNGKey, spreads: tuple[float, ...]) -> Float[Array, " P"]:
    r"""Log-uniform factors $s^u$ with $u \sim U[-1, 1]$ of parameters with spreads $s \ge 1$."""
    exponents = jax.random.uniform(key, (len(spreads),), minval=-1.0, maxval=1.0)
    return jnp.asarray(spreads, exponents.dtype) ** exponents


def factors_outside(key: PRNGKey, spreads: tuple[float, ...]) -> Float[Array, " P"]:
    r"""Factors that `factors` never draws: $s^{\pm u}$ with $u \sim U[1, 1.25]$, for every parameter that varies."""
    key_size, key_sign = jax.random.split(key)
    exponents = jax.random.uniform(key_size, (len(spreads),), minval=1.0, maxval=OUTSIDE)
    exponents = exponents * jax.random.rademacher(key_sign, (len(spreads),), exponents.dtype)
    return jnp.asarray(spreads, exponents.dtype) ** exponents


def direction(key: PRNGKey, reversed_: float) -> Float[Array, ""]:
    """-1 with probability `reversed_`, else 1."""
    return jnp.where(jax.random.bernoulli(key, reversed_), -1.0, 1.0)


def leaning(number: Float[Array, ""], most: Float[Array, ""]) -> Float[Array, ""]:
    """The angle at which an episode begins, to either side, at least 3/4 of `most`; `number` is uniform in [-1, 1]."""
    return most * (0.75 * jnp.sign(number) + 0.25 * number)


def doublings(task: Float[Array, " P"], standard: tuple) -> Float[Array, " P"]:
    """How often the sizes of the parameters are the standard's, doubled: -1 to 1 for a spread of 2."""
    return jnp.log2(jnp.abs(task / jnp.asarray(standard, task.dtype)))


def physics_problems(task: Any, signed: str) -> list[str]:
    """What is wrong with parameters given by hand: all must be positive, but `signed`, which must only not be 0."""
    wrong = [name for name, value in task._asdict().items() if (value == 0 if name == signed else value <= 0)]
    return [f"{name} must {'not be 0' if name == signed else 'be positive'}" for name in wrong]
