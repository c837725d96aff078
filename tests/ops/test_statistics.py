"""Intervals: known answers, coverage, and properties."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.ops.statistics import bootstrap_iqm, bootstrap_mean, iqm, nanmean, paired_difference

numbers = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=40)


def test_iqm_by_hand() -> None:
    assert iqm(np.arange(8.0)) == (2 + 3 + 4 + 5) / 4
    # five entries: a quarter of 5 is 1.25, so three quarters of the second and of the fourth are inside
    assert np.isclose(iqm(np.array([0.0, 1.0, 2.0, 3.0, 100.0])), (0.75 * 1 + 2 + 0.75 * 3) / 2.5)


@given(numbers)
def test_iqm_equals_scipys_trimmed_mean_where_quarters_are_whole(values: list[float]) -> None:
    from scipy.stats import trim_mean

    values = values[: len(values) // 4 * 4]
    np.testing.assert_allclose(iqm(np.array(values)), trim_mean(values, 0.25), rtol=1e-9, atol=1e-6)


@given(numbers)
def test_an_interval_moves_and_grows_with_the_data(values: list[float]) -> None:
    array = np.array(values)[None]
    low, high = bootstrap_mean(array)
    slack = 1e-9 * max(1.0, np.abs(array).max())
    assert low <= high and (np.ptp(array) > 0 or abs(high - low) <= slack)
    np.testing.assert_allclose(
        bootstrap_mean(7.0 - 2.0 * array), np.sort([7.0 - 2.0 * high, 7.0 - 2.0 * low]), atol=1e3 * slack
    )


def test_nanmean_leaves_missing_out() -> None:
    values = np.array([[[1.0, np.nan], [3.0, np.nan]]])
    np.testing.assert_array_equal(nanmean(values), [2.0, np.nan])
    low, high = bootstrap_mean(values)
    assert np.isnan(low[1]) and np.isnan(high[1]) and low[0] < 2.0 < high[0]


def test_a_single_life_has_no_interval() -> None:
    assert np.isnan(bootstrap_mean(np.ones((1, 1, 3)))).all() and np.isnan(bootstrap_iqm(np.ones((1, 1)))).all()
    low, high = bootstrap_mean(np.array([[[1.0, 5.0], [3.0, np.nan]]]))  # only one life came to the second entry
    assert low[0] < 2.0 < high[0] and np.isnan([low[1], high[1]]).all()
    assert np.isfinite(bootstrap_mean(np.array([[1.0], [2.0]]))).all()  # two seeds in one task


def test_intervals_cover() -> None:
    """Of 300 samples of 50 normal numbers, about 95 % of the intervals must hold the true mean."""
    generator = np.random.default_rng(0)
    draws = generator.normal(3.0, 2.0, (300, 1, 50))
    bounds = [bootstrap_mean(draw, seed) for seed, draw in enumerate(draws)]
    covered = np.mean([low <= 3.0 <= high for low, high in bounds])
    assert 0.90 <= covered <= 0.98  # three standard errors around 0.94, what 50 numbers give


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("interval", [bootstrap_mean, bootstrap_iqm])
def test_intervals_over_few_seeds_cover(seeds: int, interval: Callable) -> None:
    """Where what is learned differs by seed, three seeds say little; the interval must know."""
    generator = np.random.default_rng(seeds)
    draws = 3.0 + generator.normal(0, 1, (300, seeds, 1)) + generator.normal(0, 0.5, (300, seeds, 40))
    bounds = [interval(draw, seed) for seed, draw in enumerate(draws)]
    assert 0.90 <= np.mean([low <= 3.0 <= high for low, high in bounds]) <= 0.985


@pytest.mark.parametrize("lives", [2, 3, 5, 10, 20])
def test_intervals_over_few_lives_cover(lives: int) -> None:
    draws = np.random.default_rng(lives).normal(3.0, 2.0, (600, 1, lives))
    bounds = [bootstrap_mean(draw, seed) for seed, draw in enumerate(draws)]
    assert 0.90 <= np.mean([low <= 3.0 <= high for low, high in bounds]) <= 0.985


def test_seeds_widen_the_interval_where_they_differ() -> None:
    generator = np.random.default_rng(1)
    alike = generator.normal(0, 1, (5, 100))
    apart = alike + np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None]
    width = lambda values: float(np.subtract(*bootstrap_mean(values)[::-1]))
    assert width(apart) > 3 * width(alike)


def test_the_iqms_interval_holds_it() -> None:
    values = np.random.default_rng(2).gamma(2.0, 1.0, (3, 80))
    low, high = bootstrap_iqm(values)
    assert low <= iqm(values) <= high
    assert high - low < 1.0


def test_pairing_removes_what_tasks_share() -> None:
    generator = np.random.default_rng(3)
    hardness = generator.normal(0, 10, (1, 200))
    theirs, ours = hardness + generator.normal(0, 0.1, (1, 200)), hardness + 0.2 + generator.normal(0, 0.1, (1, 200))
    mean, low, high = paired_difference(ours, theirs)
    assert low > 0.15 and high < 0.25 and low < mean < high
