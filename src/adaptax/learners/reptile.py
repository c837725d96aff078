"""Reptile: move the initialisation towards where gradient steps lead."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from adaptax.core.learner import Learner
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive, Real
from adaptax.inner.policy_gradient import Adapting, PolicyGradient, phase_returns
from adaptax.nn.net import PureNet
from adaptax.nn.policy import feed_forward


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree
    updates: Array  # meta-steps made, for the falling step size


class Reptile(Learner):
    r"""Reptile: after each batch of lives, move $\theta$ towards the mean of the adapted parameters.

    $\theta \leftarrow \theta + \epsilon\, \frac{1}{B} \sum_T (\phi_K - \theta)$ with $\epsilon$ = `learning_rate`,
    where $\phi_K$ is what K = `inner_steps` + 1 steps of policy gradient made of $\theta$ in task T.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task.
        steps: Steps in a phase; None is one longest episode.
        inner_steps: Phases in a training life, less one, so that it counts as in MAML.
        inner_lr: Step size of the inner loop.
        inner_decay: How fast the step size falls along a life: step k has inner_lr / (1 + k inner_decay).
        hidden: Units in each of the two layers of the policy.
        learning_rate: Step towards the adapted parameters, falling linearly to zero over the training.
        discount: Discount of rewards.
        gae_lambda: Lambda of generalised advantage estimation.
        log_std: First log standard deviation of actions, relative to half the width of a bounded action space.
        network: Another policy network in place of the two layers.

    Example: `Reptile(inner_steps=3)`

    References:
        Nichol, Achiam & Schulman, 2018, arXiv:1803.02999 (batched form).

    Differences from the paper: it reports no reinforcement learning; the inner rule is MAML's policy gradient.
    """

    tasks: Count = 40
    copies: Count = 20
    steps: Count | None = None
    inner_steps: Count = 1
    inner_lr: Real = 0.5
    inner_decay: NonNegative = 0.0
    hidden: Count = 64
    learning_rate: Positive = 0.5
    discount: Fraction = 0.99
    gae_lambda: Fraction = 1.0
    log_std: Real = 0.0
    network: PureNet | None = None

    objective = "phase_return"
    reset_each_phase = True

    @property
    def inner(self) -> PolicyGradient:
        """The inner loop's rule, and the policy it moves."""
        spec = self.bound
        policy = feed_forward(spec.observation, spec.action, self.hidden, net=self.network, log_std=self.log_std)
        return PolicyGradient(policy, self.discount, self.gae_lambda, self.inner_decay)

    def schedule(self, episodes: int | None = None) -> Schedule:
        """K phases of one longest episode each."""
        return Schedule(episodes or self.inner_steps + 1, self.steps or self.bound.episode_steps, self.copies)

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        return Meta(self.inner.policy.init(key), jnp.zeros((), jnp.int32))

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[Adapting, tuple]:
        """Every life starts at theta."""
        del key, descriptor
        return self.inner.begin(meta.params), ()

    def act(
        self, meta: Meta, inner: Adapting, carry: tuple, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, tuple, Array]:
        """The adapted policy; records the log-probability."""
        del meta
        action, log_prob = self.inner.act(inner.params, step, key, explore)
        return action, carry, log_prob

    def adapt(self, meta: Meta, inner: Adapting, data: Transition, key: PRNGKey) -> Adapting:
        """One inner gradient step."""
        del meta, key
        return self.inner.step(inner, data, self.inner_lr)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Towards the adapted parameters."""
        del key
        left = jnp.maximum(1.0 - meta.updates.astype(float) / self.bound.meta_steps, 0.0)
        move = lambda theta, phi: theta + self.learning_rate * left * (phi.mean(0) - theta)
        params = jax.tree.map(move, meta.params, lifetimes.last.inner.params)
        return Meta(params, meta.updates + 1), phase_returns(lifetimes.data)
