"""What becomes of a choice when many lives are mapped over."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array, Bool

PyTree = Any


def where_any(condition: Bool[Array, ""], new: Callable[[], PyTree], old: PyTree) -> PyTree:
    """`new()` where `condition`, else `old`; under `vmap`, `new` is computed only if the condition holds for any.

    `jnp.where` and `lax.cond` compute both sides for all entries of a batch, whatever the condition: too much where
    `new` is dear and all lives of a batch come to it at once, a single time. It is not for reverse-mode gradients.
    """
    program, shape = jax.make_jaxpr(new, return_shape=True)()  # so that all that it reads can be handed on

    def made(given: list) -> PyTree:
        leaves = jaxpr_as_fun(ClosedJaxpr(program.jaxpr, given))()
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    @custom_vmap
    def chosen(condition: Array, given: list, old: PyTree) -> PyTree:
        return jax.lax.cond(condition, lambda: made(given), lambda: old)

    @chosen.def_vmap
    def chosen_of_many(size: int, batched: Any, condition: Array, given: list, old: PyTree) -> tuple[PyTree, PyTree]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        pick = lambda condition, given, old: jax.tree.map(lambda x, y: jnp.where(condition, x, y), made(given), old)
        each = jax.vmap(pick, axes, axis_size=size)
        keep = jax.vmap(lambda _condition, _given, old: old, axes, axis_size=size)
        arguments = (condition, given, old)
        result = jax.lax.cond(jnp.any(condition), lambda: each(*arguments), lambda: keep(*arguments))
        return result, jax.tree.map(lambda _: True, result)

    return chosen(condition, list(program.consts), old)
