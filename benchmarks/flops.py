"""Floating-point operations of a function, counted in its program and not measured."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def flops(function: Callable, *arguments: Any, branch: Callable[[list[int]], int] = max) -> int:
    """Operations of all matrix products in `function(*arguments)`; arguments may be shapes.

    A multiplication and an addition count as two. Loops of a known length count each turn, others one, and of
    branches the dearest, or what `branch` says. What is no matrix product (physics, optimisers, sums) is not counted.
    """
    return _counted(jax.make_jaxpr(function)(*arguments).jaxpr, branch)


def _counted(program: Jaxpr, branch: Callable[[list[int]], int]) -> int:
    total = 0
    for equation in program.eqns:
        inner = [_counted(x, branch) for x in _programs(equation.params)]
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            size = math.prod(equation.outvars[0].aval.shape)
            total += 2 * size * math.prod(shape[axis] for axis in contracted)
        elif equation.primitive.name == "cond":
            total += branch(inner)
        else:
            total += equation.params.get("length", 1) * sum(inner)
    return total


def _programs(params: dict[str, Any]) -> list[Jaxpr]:
    """The programs that an equation runs."""
    found = []
    for value in params.values():
        for x in value if isinstance(value, tuple | list) else [value]:
            found += [x.jaxpr] if isinstance(x, ClosedJaxpr) else [x] if isinstance(x, Jaxpr) else []
    return found
