"""Adaptation by gradient steps on a policy, safe to differentiate through."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.types import PyTree, Transition
from adaptax.ops.policy_gradient import standardise
from adaptax.ops.returns import discounted_returns, gae

Loss = Callable[[PyTree, Transition], Float[Array, ""]]


def sgd_step(
    loss: Loss, params: PyTree, data: Transition, step_size: PyTree | Array | float, first_order: bool = False
) -> PyTree:
    r"""One step $\phi' = \phi - \alpha \nabla_\phi L(\phi, data)$, differentiable in everything.

    Args:
        loss: The inner loss.
        params: $\phi$.
        data: One phase `[T, E, ...]`.
        step_size: $\alpha$: a scalar, or a tree like `params` with one (broadcastable) entry a leaf.
        first_order: Stop the meta-gradient at $\nabla L$ (FOMAML: no second derivatives).
    """
    gradient = jax.grad(loss)(params, data)
    gradient = jax.lax.stop_gradient(gradient) if first_order else gradient
    if jax.tree.structure(step_size) == jax.tree.structure(params):
        return jax.tree.map(lambda p, a, g: p - a * g, params, step_size, gradient)
    return jax.tree.map(lambda p, g: p - step_size * g, params, gradient)


def linear_baseline(
    features: Float[Array, "N F"], target: Float[Array, " N"], ridge: float = 1e-3
) -> Float[Array, " N"]:
    r"""Predictions of a ridge regression fitted to the very data it predicts (Duan et al., 2016, arXiv:1604.06778).

    Solves $(X^T X + \lambda N I) w = X^T y$ by Cholesky, in closed form and so differentiable.
    """
    gram = features.T @ features + ridge * features.shape[0] * jnp.eye(features.shape[1], dtype=features.dtype)
    coefficients = jax.scipy.linalg.solve(gram, features.T @ target, assume_a="pos")
    return features @ coefficients


def time_features(observation: Float[Array, "T E D"], first: Array) -> Float[Array, "T E F"]:
    """What the linear baseline reads: the observation, its square, and powers of the time in the phase and episode."""
    steps, copies = first.shape
    now = jnp.arange(steps, dtype=observation.dtype)[:, None] / steps
    clock = jax.lax.associative_scan(jnp.maximum, jnp.where(first, now, 0.0))
    in_episode = now - clock
    phase_time = jnp.broadcast_to(now, (steps, copies))
    times = jnp.stack([jnp.ones_like(phase_time), phase_time, phase_time**2, in_episode, in_episode**2, in_episode**3], -1)
    observation = jnp.clip(observation, -10.0, 10.0)
    return jnp.concatenate([observation, observation**2, times], -1)


def advantages(
    data: Transition, observation: Float[Array, "T E D"], discount: Array | float, lambda_: Array | float
) -> Float[Array, "T E"]:
    """Advantages of one phase under a linear baseline fitted to it, standardised; a constant of the policy.

    The objective is the return within the phase: episodes cut off by its end are not bootstrapped, and the time
    features let the baseline know how much of the phase is left.
    """
    goes_on = discount * (1.0 - (data.terminated | data.truncated).astype(data.reward.dtype))
    target = discounted_returns(data.reward, goes_on)
    features = time_features(observation, data.step.first)
    value = linear_baseline(features.reshape(-1, features.shape[-1]), target.reshape(-1)).reshape(target.shape)
    following = jnp.concatenate([value[1:], jnp.zeros_like(value[:1])])
    return standardise(gae(data.reward, goes_on, value, following, lambda_))
