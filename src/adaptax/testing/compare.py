"""Comparing trees of arrays, in words that say where and by how much."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.types import PyTree


class Broken(AssertionError):
    """A rule that somebody's code breaks: `problem` says what is wrong, `remedy` how to mend it, if that is known."""

    def __init__(self, problem: str, remedy: str = ""):
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem, self.remedy = problem, remedy


def require(condition: Any, problem: str, remedy: str = "") -> None:
    """Raises `Broken` unless `condition`; unlike `assert` also under `python -O`."""
    if not condition:
        raise Broken(problem, remedy)


def arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Every leaf on the host by its path; random keys as their numbers."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    is_key = lambda x: isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    data = {jax.tree_util.keystr(path): jax.random.key_data(x) if is_key(x) else x for path, x in leaves}
    return {path: np.asarray(x) for path, x in data.items()}


def differences(one: PyTree, other: PyTree, relative: float = 0.0, absolute: float = 0.0) -> list[str]:
    """The leaves that differ by more than the tolerances, worst difference beside them; NaN equals NaN."""
    ones, others = arrays(one), arrays(other)
    found = [f"{path} is in one of them only" for path in sorted(ones.keys() ^ others.keys())]
    for where in ones.keys() & others.keys():
        x, y, path = ones[where], others[where], where or "it"
        if x.shape != y.shape or x.dtype != y.dtype:
            found.append(f"{path} is {x.dtype}{list(x.shape)} here and {y.dtype}{list(y.shape)} there")
        elif x.dtype.kind != "f" and not np.array_equal(x, y):
            found.append(f"{path} differs in {int(np.sum(x != y))} of {x.size} entries")
        elif x.dtype.kind == "f" and not np.allclose(x, y, relative, absolute, equal_nan=True):
            found.append(f"{path} differs by up to {np.max(np.abs(x - y)):.3g}")
    return sorted(found)


def require_same(
    one: PyTree, other: PyTree, message: str, relative: float = 0.0, absolute: float = 0.0, remedy: str = ""
) -> None:
    """Raises `Broken` that names the first leaves that differ; exact unless told otherwise."""
    found = differences(one, other, relative, absolute)
    require(not found, f"{message}: " + "; ".join(found[:4]) + (" ..." if len(found) > 4 else ""), remedy)


def require_finite(tree: PyTree, what: str, remedy: str = "") -> None:
    """Raises `Broken` that names the leaves with NaN or infinity."""
    bad = [path for path, x in arrays(tree).items() if x.dtype.kind == "f" and not np.all(np.isfinite(x))]
    require(not bad, f"{what} is not finite: {', '.join(bad[:4])}".removesuffix(": "), remedy)
