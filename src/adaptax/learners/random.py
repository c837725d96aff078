"""Uniformly random actions: the zero of every normalised score."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from adaptax.core.learner import Learner
from adaptax.core.types import Lifetime, Metrics, PRNGKey, Schedule, Step, Transition
from adaptax.fields import Count
from adaptax.ops.spaces import Discrete


class Meta(NamedTuple):
    """Outer state: nothing is learned."""

    params: tuple


class Random(Learner):
    r"""Acts uniformly at random and learns nothing.

    $a \sim U(\mathcal{A})$; a Box without bounds is sampled from a standard normal.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task.
        phases_reset: Begin new episodes whenever one longest episode has passed, as gradient learners do.

    Differences from the paper: there is none.
    """

    tasks: Count = 64
    copies: Count = 1
    phases_reset: bool = False

    reset_each_phase = property(lambda self: self.phases_reset)  # type: ignore[assignment]

    def schedule(self, episodes: int | None = None) -> Schedule:
        """One phase that holds all episodes, or one for each."""
        episodes = episodes or self.bound.episodes
        phases = episodes if self.phases_reset else 1
        return Schedule(phases, self.bound.episode_steps * episodes // phases, self.copies)

    def init(self, key: PRNGKey) -> Meta:
        """Nothing."""
        del key
        return Meta(())

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[tuple, tuple]:
        """Nothing."""
        del meta, key, descriptor
        return (), ()

    def act(
        self, meta: Meta, inner: tuple, carry: tuple, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, tuple, tuple]:
        """A uniform draw, exploring or not."""
        del meta, inner, step, explore
        space = self.bound.action
        if isinstance(space, Discrete):
            return jax.random.randint(key, (), 0, space.n, jnp.int32), carry, ()
        low, high = space.bounds()
        bounded = jnp.isfinite(low) & jnp.isfinite(high)
        unit = jax.random.uniform(key, low.shape)
        inside = jnp.where(bounded, low, 0.0) + unit * jnp.where(bounded, high - low, 1.0)
        draw = jnp.where(bounded, inside, jax.random.normal(key, low.shape))
        return draw.reshape(space.shape), carry, ()

    def adapt(self, meta: Meta, inner: tuple, data: Transition, key: PRNGKey) -> tuple:
        """Nothing changes."""
        del meta, data, key
        return inner

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Nothing changes; the return is reported."""
        del key
        return meta, {"life_return": lifetimes.data.reward.sum((1, 2)).mean()}
