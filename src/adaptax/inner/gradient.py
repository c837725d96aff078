"""Gradient steps that can be differentiated through."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from adaptax.core.types import PyTree, Transition

Loss = Callable[[PyTree, Transition], Float[Array, ""]]


def sgd_step(
    loss: Loss, params: PyTree, data: Transition, step_size: PyTree | Array | float, first_order: bool = False
) -> PyTree:
    r"""One step $\phi' = \phi - \alpha \nabla_\phi L(\phi, data)$, differentiable in everything.

    Args:
        loss: The inner loss L.
        params: $\phi$.
        data: One phase, leaves `[T, E, ...]`.
        step_size: $\alpha$: a scalar, or a tree like `params` with one (broadcastable) entry a leaf.
        first_order: Stop the meta-gradient at $\nabla L$ (FOMAML: no second derivatives).
    """
    gradient = jax.grad(loss)(params, data)
    gradient = jax.lax.stop_gradient(gradient) if first_order else gradient
    if jax.tree.structure(step_size) == jax.tree.structure(params):
        return jax.tree.map(lambda p, a, g: p - a * g, params, step_size, gradient)
    return jax.tree.map(lambda p, g: p - step_size * g, params, gradient)
