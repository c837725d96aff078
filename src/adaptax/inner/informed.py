"""What the learners share that begin a task's Q-network from what is known of the task."""

from abc import abstractmethod
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.learner import Privilege
from adaptax.core.types import Lifetime, PRNGKey, PyTree, Schedule, Transition
from adaptax.fields import Count
from adaptax.inner.by_gradient import life_of
from adaptax.inner.by_td import ByTD
from adaptax.inner.replay import experience
from adaptax.inner.td import Learning
from adaptax.ops.batching import where_any

Source = Literal["descriptor", "statistics", "encoder"]


class Informed(ByTD):
    r"""A Q-network for each task, made from its features x; TD learning goes on from there.

    Attributes:
        phases: Phases of a training life, beside the first one where that is random.
        features: Where x comes from: the task's descriptor, or a first phase of random steps, of which fixed
            statistics are taken or which a learned encoder reads.
    """

    phases: Count = 1
    features: Source = "descriptor"

    @abstractmethod
    def made_for(self, meta: Any, told: Float[Array, "n F"]) -> PyTree:
        r"""$\phi$, the parameters of `network`, from task features as they were told."""

    @property
    def is_told(self) -> bool:
        """Whether a life is told its task's descriptor when it is born; else its first phase is random."""
        return self.features == "descriptor"

    @property
    def privileged(self) -> Privilege:  # type: ignore[override]
        """Who reads the descriptor must be told it, in the life or at least in training."""
        if self.is_told:
            return "always"
        return "training" if self.features == "descriptor" else "never"

    @property
    def random_steps(self) -> int:  # type: ignore[override]
        """Steps of the first phase, where what is known of a task comes from it."""
        return 0 if self.is_told else self.phase_steps * self.copies

    @property
    def told_shape(self) -> tuple[int, int]:
        """How many features a task is known by, and how many of such rows there are."""
        spec = self.bound
        row = 2 * spec.observation.size + spec.action.size + 2
        shapes = {
            "descriptor": (1, spec.descriptor),
            "statistics": (1, (row + 1) * (row + 2) // 2),
            "encoder": (self.random_steps, row),
        }
        return shapes[self.features]

    def problems(self) -> list[str]:
        """What is to be told must be there."""
        wrong = super().problems()
        if self.spec is not None and self.features == "descriptor" and not self.spec.descriptor:
            wrong.append(
                "features is 'descriptor', and this environment describes its tasks by no numbers: set it to "
                "'statistics' or 'encoder', which learn of a task from a first phase of random steps"
            )
        return wrong

    def schedule(self, episodes: int | None = None) -> Schedule:
        """As many phases as hold so many episodes, or the usual ones and a random one before them."""
        return life_of(
            self.bound.episode_steps, episodes, self.phases + (not self.is_told), self.phase_steps, self.copies
        )

    def told(self, data: Transition) -> Float[Array, "n F"]:
        """What the steps `[T, E, ...]` of a phase tell of a task: each of them, or their second moments."""
        spec = self.bound
        rows = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]), experience(data))
        before = jax.vmap(spec.observation.encode)(rows.observation)
        numbers = jnp.stack([rows.reward, rows.terminated.astype(float)], 1)
        change = jax.vmap(spec.observation.encode)(rows.next_observation) - before
        row = jnp.concatenate([before, jax.vmap(spec.action.encode)(rows.action), numbers, change], 1)
        if self.features == "encoder":
            return row
        row = jnp.concatenate([jnp.ones_like(row[:, :1]), row], 1)
        return (row.T @ row / row.shape[0])[jnp.triu_indices(row.shape[1])][None]

    def told_of(self, lifetimes: Lifetime) -> Float[Array, "B n F"]:
        """What is known in training of the tasks of B lives."""
        if lifetimes.descriptor is not None:
            return lifetimes.descriptor[:, None]
        return jax.vmap(self.told)(jax.tree.map(lambda x: x[:, 0], lifetimes.data))

    def adapt(self, meta: Any, inner: Learning, data: Transition, key: PRNGKey) -> Learning:
        """After a first phase of random steps, the network that these call for."""
        if self.is_told:
            return inner
        begun = lambda: self.inner.again(self.asked(meta, inner, data, key), ())
        now = where_any(data.extras[0, 0] == 0, begun, inner._replace(replay=()))
        return now._replace(replay=inner.replay)

    def asked(self, meta: Any, inner: Learning, data: Transition, key: PRNGKey) -> PyTree:
        """The network that a first phase of random steps calls for."""
        del inner, key
        return self.made_for(meta, self.told(data))
