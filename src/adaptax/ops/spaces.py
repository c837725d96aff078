"""Observation and action spaces: what an array may hold, and how a network reads it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Discrete(NamedTuple):
    """The integers 0 .. n - 1. A network reads them one-hot; -1 means "none yet" and reads as zeros."""

    n: int

    @property
    def size(self) -> int:
        """Number of features after `encode`."""
        return self.n

    def none(self) -> Array:
        """The value before the first one."""
        return jnp.array(-1, jnp.int32)

    @property
    def content(self) -> str:
        """What a value may be, in words."""
        return f"a whole number from 0 to {self.n - 1}"

    def legal(self, value: np.ndarray) -> np.ndarray:
        """Which entries of an array of numbers are legal."""
        return np.asarray((value >= 0) & (value < self.n) & (value == np.floor(value)))

    def encode(self, value: Array) -> Float[Array, " n"]:
        """One-hot features."""
        return jax.nn.one_hot(value, self.n)


class MultiDiscrete(NamedTuple):
    """Several integers, the i-th from 0 to ns[i] - 1: coordinates, say. A network reads each one-hot; -1 as zeros."""

    ns: tuple[int, ...]

    @property
    def shape(self) -> tuple[int]:
        """One axis, with an entry for each integer."""
        return (len(self.ns),)

    @property
    def size(self) -> int:
        """Number of features after `encode`."""
        return sum(self.ns)

    def none(self) -> Array:
        """The value before the first one."""
        return jnp.full(self.shape, -1, jnp.int32)

    @property
    def content(self) -> str:
        """What a value may be, in words."""
        return f"{len(self.ns)} whole numbers from 0 to {', '.join(str(n - 1) for n in self.ns)}"

    def legal(self, value: np.ndarray) -> np.ndarray:
        """Which entries of an array `[..., len(ns)]` are legal."""
        return np.asarray((value >= 0) & (value < np.asarray(self.ns)) & (value == np.floor(value)))

    def encode(self, value: Array) -> Float[Array, " D"]:
        """One-hot features of each, one after the other."""
        return jnp.concatenate([jax.nn.one_hot(value[i], n) for i, n in enumerate(self.ns)])


class Box(NamedTuple):
    """Real arrays between `low` and `high` (one number for all entries, or one per entry, flattened)."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of features after `encode`."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def none(self) -> Array:
        """The value before the first one."""
        return jnp.zeros(self.shape)

    @property
    def content(self) -> str:
        """What a value may be, in words."""
        return f"finite numbers of shape {self.shape}"

    def legal(self, value: np.ndarray) -> np.ndarray:
        """Which entries of an array are legal; simulators round, and overshoot the bounds that they declare."""
        return np.asarray(np.abs(value) <= np.finfo(np.float32).max)  # NaN and infinity are not

    def encode(self, value: Array) -> Float[Array, " D"]:
        """The entries, flattened."""
        return jnp.reshape(value, self.size).astype(float)

    def bounds(self) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        """Low and high of each entry, flattened."""
        low, high = jnp.asarray(self.low, float), jnp.asarray(self.high, float)
        return jnp.broadcast_to(low, (self.size,)), jnp.broadcast_to(high, (self.size,))


ActionSpace = Discrete | Box
Space = ActionSpace | MultiDiscrete  # of observations
