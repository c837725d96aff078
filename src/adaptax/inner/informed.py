"""What the learners share that begin a task's Q-network from what is known of the task."""

from abc import abstractmethod
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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
        features: What a task is known by: its descriptor; or the first phases of a life, of whose steps fixed
            statistics are taken or which a learned encoder reads, one after the other.
        exploring: How many such phases there are. In the first one actions are random; in the others the network acts
            (mostly: `epsilon`) that the steps so far call for, and after each it is made anew from all of them.
    """

    phases: Count = 1
    features: Source = "descriptor"
    exploring: Count = 1

    @abstractmethod
    def made_for(self, meta: Any, told: Float[Array, "n F"]) -> PyTree:
        r"""$\phi$, the parameters of `network`, from task features as they were told."""

    @property
    def is_told(self) -> bool:
        """Whether a life is told its task's descriptor when it is born; else it explores first."""
        return self.features == "descriptor"

    @property
    def privileged(self) -> Privilege:  # type: ignore[override]
        """Who reads the descriptor must be told it, in the life or at least in training."""
        if self.is_told:
            return "always"
        return "training" if self.features == "descriptor" else "never"

    @property
    def finding(self) -> int:
        """Phases in which a life finds out what its task is; none where it is told."""
        return 0 if self.is_told else self.exploring

    @property
    def random_steps(self) -> int:  # type: ignore[override]
        """Steps of the phases that what is known of a task comes from."""
        return self.finding * self.phase_steps * self.copies

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
        if self.is_told and self.exploring > 1:
            wrong.append(f"exploring is {self.exploring}, and who is told its task does not explore: set it to 1")
        return wrong

    def schedule(self, episodes: int | None = None) -> Schedule:
        """As many phases as hold so many episodes, or the usual ones and those that explore before them."""
        phases = self.phases + self.finding
        return life_of(self.bound.episode_steps, episodes, phases, self.phase_steps, self.copies)

    def told(self, data: Transition) -> Float[Array, "n F"]:
        r"""What the steps `[T, E, ...]` of a phase tell of a task: each of them, or the roots of their second moments.

        Of a moment m it is $\mathrm{sign}(m) \sqrt{|m|}$ (Perronnin, Sanchez & Mensink, 2010, "Improving the Fisher
        kernel for large-scale image classification", ECCV): that something was seen at all counts for more than how
        often.
        """
        spec = self.bound
        rows = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]), experience(data))
        before = jax.vmap(spec.observation.encode)(rows.observation)
        numbers = jnp.stack([rows.reward, rows.terminated.astype(float)], 1)
        change = jax.vmap(spec.observation.encode)(rows.next_observation) - before
        row = jnp.concatenate([before, jax.vmap(spec.action.encode)(rows.action), numbers, change], 1)
        if self.features == "encoder":
            return row
        row = jnp.concatenate([jnp.ones_like(row[:, :1]), row], 1)
        return _root(row.T @ row / row.shape[0])[jnp.triu_indices(row.shape[1])][None]

    def heard(self, before: Float[Array, "n F"], data: Transition, come: Array | int) -> Float[Array, "n F"]:
        """What is known of a task after a further phase, of which so many came before: means, or the last steps."""
        new = self.told(data)
        if self.features == "encoder":
            return jnp.concatenate([before[len(new) :], new])
        before, new = (x * jnp.abs(x) for x in (before, new))
        return _root(before + (new - before) / jnp.asarray(come + 1, new.dtype))

    def told_of(self, lifetimes: Lifetime) -> Float[Array, "B m n F"]:
        """What is known in training of the tasks of B lives, after each of the m phases that explore."""
        if lifetimes.descriptor is not None:
            return lifetimes.descriptor[:, None, None]

        def of_life(data: Transition) -> Float[Array, "m n F"]:
            known = [jnp.zeros(self.told_shape)]
            for come in range(self.exploring):
                known.append(self.heard(known[-1], jax.tree.map(lambda x: x[come], data), come))  # noqa: B023
            return jnp.stack(known[1:])

        return jax.vmap(of_life)(lifetimes.data)

    def begin(self, meta: Any, key: PRNGKey, descriptor: Array | None) -> tuple[Learning, Int[Array, ""]]:
        """As all who learn by TD; who finds out what its task is knows nothing yet."""
        inner, lived = super().begin(meta, key, descriptor)
        return inner._replace(told=() if self.features == "descriptor" else jnp.zeros(self.told_shape)), lived

    def explored_share(self, meta: Any, lived: Int[Array, ""]) -> Float[Array, ""]:
        """The first phase that explores is random; then it is seen what the network makes of it."""
        share, first = super().explored_share(meta, lived), self.phase_steps * self.copies
        return jnp.where((lived >= first) & (lived < self.random_steps), self.epsilon, share)

    def adapt(self, meta: Any, inner: Learning, data: Transition, key: PRNGKey) -> Learning:
        """After a phase that explores, the network that what is known by then calls for."""
        if self.is_told:
            return inner
        come = data.extras[0, 0] // data.reward.shape[0]
        told = inner.told if self.features == "descriptor" else self.heard(inner.told, data, come)
        begun = lambda: self.inner.again(self.asked(meta, told, data, key), ())._replace(told=told)
        now = where_any(come < self.exploring, begun, inner._replace(replay=()))
        return now._replace(replay=inner.replay)

    def asked(self, meta: Any, told: Any, data: Transition, key: PRNGKey) -> PyTree:
        """The network that what is known calls for, after a phase that explores."""
        del data, key
        return self.made_for(meta, told)


def _root(x: Array) -> Array:
    return jnp.sign(x) * jnp.sqrt(jnp.abs(x))
