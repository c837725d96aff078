"""Honest intervals: interquartile means and bootstrap over tasks and seeds (Agarwal et al., 2021, arXiv:2108.13264)."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

RESAMPLES = 1000
_BLOCK = 4_000_000  # numbers drawn at once


def nanmean(
    values: Float[np.ndarray, "S N *rest"], axis: tuple[int, ...] = (0, 1), keepdims: bool = False
) -> np.ndarray:
    """Mean over seeds and tasks; NaN marks what a life did not reach, and where none reached it the mean is NaN."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0.0).sum(axis, dtype=np.float64, keepdims=keepdims)
    count = present.sum(axis, keepdims=keepdims)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def iqm(values: Float[np.ndarray, "..."]) -> float:
    """Interquartile mean: the mean of the middle half of all entries."""
    ordered = np.sort(np.ravel(values)).astype(np.float64)
    return _weighted_iqm(ordered, np.ones((1, ordered.size)))[0]


def _weighted_iqm(ordered: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of the middle half where entry i stands `weights[:, i]` times; fractions at the quartiles count."""
    cumulative = np.cumsum(weights, 1)
    total = cumulative[:, -1:]
    below = cumulative - weights
    inside = np.clip(np.minimum(cumulative, 0.75 * total) - np.maximum(below, 0.25 * total), 0.0, None)
    return inside @ ordered / inside.sum(1)


def _resampled(seeds: int, tasks: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How often each seed and each task stands in each resample, in blocks of rows.

    All seeds are judged on the same tasks, so both are resampled as a whole; a single seed stands as it is.
    """
    generator, left = np.random.default_rng(seed), RESAMPLES
    while left:
        rows = min(left, max(1, _BLOCK // tasks))
        of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), rows) if seeds > 1 else np.ones((rows, 1))
        yield of_seeds.astype(float), generator.multinomial(tasks, np.full(tasks, 1 / tasks), rows).astype(float)
        left -= rows


def _stretched(values: Float[np.ndarray, "S N F"]) -> np.ndarray:
    r"""The samples with the means of seeds and of tasks moved apart: a bootstrap over few of them is then wide enough.

    n of them drawn with replacement vary by $\sqrt{(n - 1)/n}$ too little, and their quantiles are a normal's where
    Student's t is due (Hesterberg, 2015, arXiv:1411.5279): three would cover 73 % in place of 95 %.
    """
    from scipy.special import ndtri, stdtrit  # an eighth of a second, which `import adaptax` need not take

    for axis in (0, 1):
        means = nanmean(values, (1 - axis,), keepdims=True)
        n = np.maximum((~np.isnan(means)).sum(axis, keepdims=True), 2)  # of one there is nothing to move apart
        factor = np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975) / ndtri(0.975)
        values = values + (factor - 1) * (means - nanmean(means, (axis,), keepdims=True))
    return values


def bootstrap_mean(values: Float[np.ndarray, "S N *rest"], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of `nanmean(values)`: low and high, shaped like it; NaN where fewer than two lives say anything."""
    seeds, tasks, *rest = values.shape
    flat = _stretched(values.reshape(seeds, tasks, -1).astype(np.float64))
    present = ~np.isnan(flat)
    filled, present = np.where(present, flat, 0.0), present.astype(float)
    means = []
    for of_seeds, of_tasks in _resampled(seeds, tasks, seed):
        total = np.einsum("rs,rsf->rf", of_seeds, np.stack([of_tasks @ part for part in filled], 1))
        count = np.einsum("rs,rsf->rf", of_seeds, np.stack([of_tasks @ part for part in present], 1))
        means.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    known = present.sum((0, 1)) > 1
    return _interval(np.where(known, np.concatenate(means), np.nan), tuple(rest))


def bootstrap_iqm(values: Float[np.ndarray, "S N"], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of `iqm(values)`: low and high; NaN for a single life."""
    seeds, tasks = values.shape
    values = _stretched(values[..., None])[..., 0]
    order = np.argsort(values, axis=None)
    ordered, results = np.ravel(values)[order].astype(np.float64), []
    for of_seeds, of_tasks in _resampled(seeds, tasks, seed):
        weights = (of_seeds[:, :, None] * of_tasks[:, None, :]).reshape(len(of_tasks), -1)[:, order]
        results.append(_weighted_iqm(ordered, weights))
    known = values.size > 1
    return _interval(np.where(known, np.concatenate(results)[:, None], np.nan), ())


def _interval(samples: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    missing = np.isnan(samples).all(0)
    low, high = np.nanquantile(np.where(missing, 0.0, samples), [0.025, 0.975], axis=0)
    low, high = (np.where(missing, np.nan, x).reshape(shape) for x in (low, high))
    return low, high


def paired_difference(
    ours: Float[np.ndarray, "S N *rest"], theirs: Float[np.ndarray, "S N *rest"], seed: int = 0
) -> tuple:
    """Mean of `ours - theirs` on the same tasks and keys, with its 95 % interval: (mean, low, high)."""
    difference = ours - theirs
    return (nanmean(difference), *bootstrap_mean(difference, seed))
