"""The outer loops' optimiser."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def clipped_adam(
    learning_rate: Float[Array, ""] | float, max_gradient: Float[Array, ""] | float, decay_steps: int | None = None
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2014, arXiv:1412.6980) on gradients clipped to a global norm.

    Args:
        learning_rate: First step size; may be traced.
        max_gradient: Largest global norm that is let through.
        decay_steps: Updates over which the step size falls linearly to zero; None keeps it.
    """

    def rate(count: Array) -> Array:
        left = 1.0 if decay_steps is None else jnp.maximum(1.0 - count.astype(float) / decay_steps, 0.0)
        return jnp.asarray(learning_rate * left, float)

    # eps as in PPO's reference implementation (openai/baselines, ppo2)
    chain = optax.chain(optax.clip_by_global_norm(max_gradient), optax.adam(rate, eps=1e-5))

    def update(gradient: optax.Updates, state: optax.OptState, params: optax.Params | None = None) -> tuple:
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int32 power
            return chain.update(gradient, state, params)

    return optax.GradientTransformation(chain.init, update)
