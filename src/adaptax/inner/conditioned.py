"""What the learners share that make a Q-network for a task from what is known of it, and train that across tasks."""

from abc import abstractmethod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.fields import Count, Fraction, Positive
from adaptax.inner.by_td import life_returns, more_at_first
from adaptax.inner.informed import Informed
from adaptax.inner.replay import Drawn, Experience, empty, experience, followed, next_rows
from adaptax.ops.moments import Moments, normalised, nothing_seen, seen
from adaptax.ops.optimise import clipped_adam


class Lives(NamedTuple):
    """Lives in many tasks, the last R of them."""

    kept: Experience  # [L, R, E, ...]
    told: Float[Array, "R m n F"]  # what was known of the task of each, after each phase that explores
    written: Int[Array, ""]


class Meta(NamedTuple):
    """Outer state; target, optimiser and lives are nothing once it is deployed."""

    params: PyTree
    target: PyTree
    optimiser: optax.OptState
    lives: Any  # Lives
    moments: Moments  # of what is known of tasks
    updates: Int[Array, ""]  # meta-steps made


class Conditioned(Informed):
    r"""A Q-network for each task, $\phi = G_\theta(x)$, made from its features x; TD learning goes on from there.

    G is trained across tasks: the outer loop keeps what many lives recorded and descends
    $\mathrm{mean}_{T, (s, a)} H(Q_{G_\theta(x_T)}(s, a) - y)$ through G, with targets from a slow copy of $\theta$.
    Lives of the training only act; TD learning is for those of use.

    Attributes:
        lives: Lives that the outer loop keeps.
        outer_updates: Outer gradient steps in a meta-step.
        outer_tasks: Lives behind one such step.
        outer_batch: Experiences from each of them.
        outer_polyak: How far the slow copy follows at each step.
        learning_rate: Step size of the outer loop, falling linearly to zero over the training.
        max_gradient: Global norm that outer gradients are clipped to.
        epsilon: Share of random actions at birth, once the training is over.
        random_until: Part of the training over which the share of random actions falls from 1 to `epsilon`.
    """

    lives: Count = 2000
    outer_updates: Count = 8
    outer_tasks: Count = 32
    outer_batch: Count = 32
    outer_polyak: Fraction = 0.01
    learning_rate: Positive = 1e-3
    max_gradient: Positive = 10.0
    epsilon: Fraction = 0.1
    random_until: Fraction = 0.5

    learns_in_training = False

    @abstractmethod
    def fresh(self, key: PRNGKey) -> PyTree:
        r"""Parameters $\theta$ to begin the training with."""

    @abstractmethod
    def made(self, params: PyTree, told: Float[Array, "n F"]) -> PyTree:
        r"""$\phi = G_\theta(x)$, the parameters of `network`, from a sequence of n task features."""

    def problems(self) -> list[str]:
        """As many lives must be kept as come at once."""
        wrong = super().problems()
        if self.lives < self.tasks:
            wrong.append(f"lives is {self.lives}; it must hold the {self.tasks} tasks of a meta-step")
        if self.spec is not None and self.finding and self.n_step > (after := self.phases * self.phase_steps):
            wrong.append(f"n_step is {self.n_step}, and {after} steps follow what tells the task: give it fewer")
        return wrong

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters, and no lives."""
        params, schedule, spec = self.fresh(key), self.schedule(), self.bound
        life = empty(spec.observation, spec.action, schedule.phases * schedule.steps, schedule.copies).kept
        kept = jax.tree.map(lambda x: jnp.zeros((x.shape[0], self.lives, *x.shape[1:]), x.dtype), life)
        told = jnp.zeros((self.lives, 1 if self.is_told else self.exploring, *self.told_shape))
        lives = Lives(kept, told, jnp.zeros((), jnp.int32))
        moments = nothing_seen(self.told_shape[1])
        return Meta(params, params, self._optimiser().init(params), lives, moments, jnp.zeros((), jnp.int32))

    def deployed(self, meta: Meta) -> Meta:
        """Without what only training needs, and with the training over: nothing random is left of it."""
        return meta._replace(target=(), optimiser=(), lives=(), updates=jnp.full_like(meta.updates, 2**30))

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """The network for this task or, where nothing is known yet, for the mean of all."""
        del key
        told = jnp.broadcast_to(meta.moments.mean, self.told_shape) if descriptor is None else descriptor[None]
        return self.made_for(meta, told)

    def made_for(self, meta: Meta, told: Float[Array, "n F"]) -> PyTree:
        r"""$\phi$ from task features as they were told."""
        return self.made(meta.params, jax.vmap(normalised, (None, 0))(meta.moments, told))

    def explored_share(self, meta: Meta, lived: Int[Array, ""]) -> Float[Array, ""]:
        """Early in the training, more."""
        return more_at_first(super().explored_share(meta, lived), meta.updates, self.random_until * self.meta_steps)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Keeps the lives, and descends the TD loss of kept ones through what makes their networks."""
        meta, optimiser = self._with(meta, lifetimes), self._optimiser()

        def descend(now: Meta, key: PRNGKey) -> tuple[Meta, Metrics]:
            told, drawn = self.drawn(now, key)
            loss, gradient = jax.value_and_grad(self._loss)(now.params, now.target, told, drawn)
            change, state = optimiser.update(gradient, now.optimiser)
            params = optax.apply_updates(now.params, change)
            target = optax.incremental_update(params, now.target, self.outer_polyak)
            return now._replace(params=params, target=target, optimiser=state), {"td_loss": loss}

        meta, metrics = jax.lax.scan(descend, meta, jax.random.split(key, self.outer_updates))
        meta = meta._replace(updates=meta.updates + 1)
        return meta, jax.tree.map(jnp.mean, metrics) | life_returns(lifetimes.data)

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps * self.outer_updates)

    def _with(self, meta: Meta, lifetimes: Lifetime) -> Meta:
        """With the lives of this meta-step in place of the oldest."""
        told = self.told_of(lifetimes)
        rows = next_rows(meta.lives.written, self.tasks, self.lives)
        new = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), experience(lifetimes.data))
        kept = jax.tree.map(lambda old, x: old.at[:, rows].set(jnp.swapaxes(x, 0, 1)), meta.lives.kept, new)
        lives = Lives(kept, meta.lives.told.at[rows].set(told), meta.lives.written + self.tasks)
        return meta._replace(lives=lives, moments=seen(meta.moments, told.reshape(-1, told.shape[-1])))

    def drawn(self, meta: Meta, key: PRNGKey) -> tuple[Float[Array, "G n F"], Drawn]:
        """What was known of the tasks of some kept lives at some time, and experience from each of them after it."""
        key_life, key_step, key_time = jax.random.split(key, 3)
        held = jnp.minimum(meta.lives.written, self.lives)
        lives = jax.random.randint(key_life, (self.outer_tasks,), 0, held)
        steps, _, copies = meta.lives.kept.reward.shape
        kept = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), meta.lives.kept)  # [L, R E, ...]
        time = jax.random.randint(key_time, (self.outer_tasks,), 0, meta.lives.told.shape[1])
        # what x was made from says too well what came of it
        known = (time + 1) * (self.random_steps // meta.lives.told.shape[1])

        def of_life(life: Array, known: Array, key: PRNGKey) -> Drawn:
            index = jax.random.randint(key, (self.outer_batch,), known, (steps - self.n_step + 1) * copies)
            return followed(kept, index // copies, life * copies + index % copies, self.n_step, self.discount)

        drawn = jax.vmap(of_life)(lives, known, jax.random.split(key_step, self.outer_tasks))
        told = meta.lives.told[lives, time]
        return jax.vmap(jax.vmap(normalised, (None, 0)), (None, 0))(meta.moments, told), drawn

    def _loss(self, params: PyTree, target: PyTree, told: Float[Array, "G n F"], drawn: Drawn) -> Float[Array, ""]:
        """The TD loss of the networks that are made for some tasks."""
        one = lambda told, drawn: self.inner.loss(self.made(params, told), self.made(target, told), drawn)[0]
        return jnp.mean(jax.vmap(one)(told, drawn))
