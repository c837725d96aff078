"""Adaptation of a policy by gradient steps on its own experience: the inner loop of the MAML family."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.types import Metrics, PRNGKey, PyTree, Step, Transition
from adaptax.nn.policy import Policy
from adaptax.ops.distributions import Distribution
from adaptax.ops.moments import Moments, normalised, nothing_seen, seen
from adaptax.ops.policy_gradient import standardise
from adaptax.ops.returns import discounted_returns, first_episode_return, gae


class Adapting(NamedTuple):
    """A policy on its way: the inner state of the MAML family."""

    params: PyTree  # phi_k
    steps: Array  # k, gradient steps made
    moments: Moments | None = None  # of the observations of the phases before, where they are normalised


class PolicyGradient(NamedTuple):
    r"""The inner rule $\phi_{k+1} = \phi_k - \alpha_k \nabla_\phi L(\phi_k)$ on what the policy lived.

    $L = -\mathrm{mean}_t\, \frac{\pi_\phi(a_t)}{\pi_{acted}(a_t)} A_t$: its gradient is the policy gradient, and
    differentiated twice it has the right curvature, sampling included (Rothfuss et al., 2018, arXiv:1810.06784).
    $A_t$ comes from returns within the episode under a linear baseline fitted to the phase, and
    $\alpha_k = \alpha / (1 + k\,decay)$: the first step must go far, the later ones settle.

    Attributes:
        policy: $\pi$.
        discount: $\gamma$.
        decay: How fast step sizes fall along a life; 0 keeps them.
        gae_lambda: $\lambda$ of generalised advantage estimation.
        standardised: Divide advantages by their standard deviation; without it, their size tells about the task too.
        loss: Another inner loss in place of L; maps (this rule, parameters, phase `[T, E, ...]`) to a number.
        normalise: Read observations in deviations from their mean in the phases before.
        moments: What these deviations are of; `reading` sets it.
    """

    policy: Policy
    discount: Array | float
    gae_lambda: Array | float
    decay: Array | float = 0.0
    standardised: bool = True
    loss: "OwnLoss | None" = None
    normalise: bool = False
    moments: Moments | None = None

    def begin(self, params: PyTree) -> Adapting:
        """The inner state at birth."""
        moments = nothing_seen(self.policy.observation_space.size) if self.normalise else None
        return Adapting(params, jnp.zeros((), jnp.int32), moments)

    def reading(self, now: Adapting) -> "PolicyGradient":
        """The rule as it stands in a life: reading observations as that life does."""
        return self._replace(moments=now.moments)

    def at(self, phi: PyTree, observation: Array) -> Distribution:
        """The policy at one observation."""
        features = self.policy.observation_space.encode(observation)
        return self.policy.at_features(phi, normalised(self.moments, features) if self.moments else features)

    def act(self, phi: PyTree, step: Step, key: PRNGKey, explore: bool) -> tuple[Array, Float[Array, ""]]:
        """An action and its log-probability, which the surrogate needs recorded as `extras`."""
        policy = self.at(phi, step.observation)
        action = policy.sample(key) if explore else policy.mode()
        return action, policy.log_prob(action)

    def log_prob(self, phi: PyTree, data: Transition) -> Float[Array, "T E"]:
        """Log-probability under `phi` of what was done."""
        one = lambda observation, action: self.at(phi, observation).log_prob(action)
        return jax.vmap(jax.vmap(one))(data.step.observation, data.action)

    def advantages(self, data: Transition) -> Float[Array, "T E"]:
        """Advantages of one phase, centred; a constant of the policy.

        The objective is the return within the phase, so episodes cut off by its end or by their time limit are not
        bootstrapped; the baseline's time features let it know how much is left.
        """
        observation = jax.vmap(jax.vmap(self.policy.observation_space.encode))(data.step.observation)
        goes_on = self.discount * (1.0 - (data.terminated | data.truncated).astype(data.reward.dtype))
        target = discounted_returns(data.reward, goes_on)
        features = time_features(observation, data.step.first)
        value = linear_baseline(features.reshape(-1, features.shape[-1]), target.reshape(-1)).reshape(target.shape)
        following = jnp.concatenate([value[1:], jnp.zeros_like(value[:1])])
        advantage = gae(data.reward, goes_on, value, following, self.gae_lambda)
        return standardise(advantage) if self.standardised else advantage - jnp.mean(advantage)

    def surrogate(self, phi: PyTree, data: Transition) -> Float[Array, ""]:
        """L above."""
        return -jnp.mean(jnp.exp(self.log_prob(phi, data) - data.extras) * self.advantages(data))

    def step(
        self, now: Adapting, data: Transition, step_size: PyTree | Array | float, first_order: bool = False
    ) -> Adapting:
        """One adaptation step."""
        falling = 1.0 / (1.0 + self.decay * now.steps.astype(float))
        sizes = jax.tree.map(lambda size: size * falling, step_size)
        reading = self.reading(now)
        loss = partial(self.loss, reading) if self.loss else reading.surrogate
        params = sgd_step(loss, now.params, data, sizes, first_order)
        return Adapting(params, now.steps + 1, self._after(now.moments, data))

    def _after(self, moments: Moments | None, data: Transition) -> Moments | None:
        """What is known of observations after a phase."""
        if moments is None:
            return None
        features = jax.vmap(jax.vmap(self.policy.observation_space.encode))(data.step.observation)
        return seen(moments, features.reshape(-1, features.shape[-1]))


OwnLoss = Callable[[PolicyGradient, PyTree, Transition], Float[Array, ""]]


def sgd_step(
    loss: Callable[[PyTree, PyTree], Float[Array, ""]],
    params: PyTree,
    data: PyTree,
    step_size: PyTree | Array | float,
    first_order: bool = False,
) -> PyTree:
    r"""One step $\phi' = \phi - \alpha \nabla_\phi L(\phi, data)$, differentiable in everything.

    Args:
        loss: The inner loss L.
        params: $\phi$.
        data: What it is of: one phase, leaves `[T, E, ...]`, or a batch.
        step_size: $\alpha$: a scalar, or a tree like `params` with one (broadcastable) entry a leaf.
        first_order: Stop the meta-gradient at $\nabla L$ (FOMAML: no second derivatives).
    """
    gradient = jax.grad(loss)(params, data)
    gradient = jax.lax.stop_gradient(gradient) if first_order else gradient
    if jax.tree.structure(step_size) == jax.tree.structure(params):
        return jax.tree.map(lambda p, a, g: p - a * g, params, step_size, gradient)
    return jax.tree.map(lambda p, g: p - step_size * g, params, gradient)


def phase_returns(data: Transition) -> Metrics:
    """Return of the first episode of the first and of the last phase, of lives `[B, K, T, E, ...]` as lived."""
    returns = jax.vmap(jax.vmap(first_episode_return))(data.reward, data.terminated | data.truncated).mean(0)
    return {"return_first_phase": returns[0], "return_last_phase": returns[-1]}


def linear_baseline(
    features: Float[Array, "N F"], target: Float[Array, " N"], ridge: float = 1e-3
) -> Float[Array, " N"]:
    r"""Predictions of a ridge regression fitted to the very data it predicts (Duan et al., 2016, arXiv:1604.06778).

    Solves $(X^T X + \lambda N I) w = X^T y$ by Cholesky, in closed form and so differentiable.
    """
    gram = features.T @ features + ridge * features.shape[0] * jnp.eye(features.shape[1], dtype=features.dtype)
    return features @ jax.scipy.linalg.solve(gram, features.T @ target, assume_a="pos")


def time_features(observation: Float[Array, "T E D"], first: Array) -> Float[Array, "T E F"]:
    """What the linear baseline reads: the observation, its square, and powers of the time in phase and episode."""
    steps, copies = first.shape
    now = jnp.broadcast_to(jnp.arange(steps, dtype=observation.dtype)[:, None] / steps, (steps, copies))
    episode = now - jax.lax.associative_scan(jnp.maximum, jnp.where(first, now, 0.0))
    times = jnp.stack([jnp.ones_like(now), now, now**2, episode, episode**2, episode**3], -1)
    observation = jnp.clip(observation, -10.0, 10.0)
    return jnp.concatenate([observation, observation**2, times], -1)
