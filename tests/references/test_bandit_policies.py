import numpy as np
import pytest

from adaptax.references import policies as bandits
from adaptax.references.bandit_limits import bernoulli_optimal
from adaptax.references.gittins import gittins_index, gittins_table, lagrangian_bound

POLICIES = {
    "gittins": lambda pulls: bandits.gittins(pulls),
    "thompson": lambda pulls: bandits.thompson,
    "ucb1 0.05": lambda pulls: bandits.ucb1(0.05),
    "ucb1 0.1": lambda pulls: bandits.ucb1(0.1),
    "ucb1 0.2": lambda pulls: bandits.ucb1(0.2),
    "optimistic thompson": lambda pulls: bandits.optimistic_thompson,
    "greedy": lambda pulls: bandits.greedy,
}
# Simulated before, with the standard error of that simulation.
KNOWN = [
    ("gittins", 5, 10, 6.6578, 0.0009),
    ("thompson", 5, 10, 5.830, 0.004),
    ("optimistic thompson", 5, 10, 5.988, 0.004),
    ("ucb1 0.05", 5, 10, 6.657, 0.004),
    ("greedy", 5, 10, 6.630, 0.004),
    ("gittins", 10, 10, 6.7140, 0.0012),
    ("thompson", 10, 10, 5.584, 0.004),
    ("ucb1 0.1", 10, 10, 6.717, 0.004),
    ("greedy", 10, 10, 6.694, 0.004),
    ("thompson", 50, 10, 5.147, 0.004),
    ("ucb1 0.05", 50, 10, 6.717, 0.004),
    ("greedy", 50, 10, 6.711, 0.004),
    ("gittins", 5, 100, 78.65, 0.011),
    ("thompson", 5, 100, 75.01, 0.05),
    ("optimistic thompson", 5, 100, 75.96, 0.05),
    ("ucb1 0.2", 5, 100, 78.42, 0.05),
    ("greedy", 5, 100, 75.81, 0.09),
]


def by_regret(name: str, arms: int, pulls: int, tasks: int, seed: int = 0) -> tuple[float, float]:
    """Mean total reward and its standard error, by pseudo-regret."""
    chances = np.random.default_rng(seed).random((tasks, arms))
    earned = bandits.play(POLICIES[name](pulls), chances, pulls, seed)
    totals = pulls * arms / (arms + 1) - (pulls * chances.max(1) - earned)
    return totals.mean(), totals.std() / np.sqrt(tasks)


@pytest.mark.parametrize(("name", "arms", "pulls", "value", "error"), KNOWN)
def test_known_totals(name, arms, pulls, value, error):
    mean, own_error = by_regret(name, arms, pulls, tasks=20_000 if pulls == 10 else 4_000)
    assert abs(mean - value) < 3 * np.hypot(error, own_error)


def test_gittins_is_nearly_optimal_and_never_better():
    limit = bernoulli_optimal(5, 10)
    mean, error = by_regret("gittins", 5, 10, tasks=100_000)
    assert limit is not None
    assert limit - 0.01 < mean < limit + 3 * error


def test_gittins_indices_by_hand():
    tables = gittins_table(2)
    assert tables[1][0, 0] == pytest.approx(1 / 2)  # one pull left: the posterior mean
    assert tables[1][1, 0] == pytest.approx(2 / 3, abs=1e-3)
    # Two left, and one goes on only after a success: 1/2 - x + (2/3 - x) / 2 = 0.
    assert tables[2][0, 0] == pytest.approx(5 / 9, abs=1e-3)


def test_gittins_indices_grow_with_the_pulls_left_and_fall_with_failures():
    tables = gittins_table(8)
    fresh = [tables[left][0, 0] for left in range(1, 9)]
    assert (np.diff(fresh) > 0).all()
    assert tables[4][1, 0] > tables[4][0, 0] > tables[4][0, 1]


def test_ties_are_broken_at_random():
    """Two arms that never pay: greedy alternates, so its first choice is one of them, equally often."""
    chances = np.tile([0.0, 1.0], (4000, 1))
    first = bandits.play(bandits.greedy, chances, 1, seed=0)
    assert abs(first.mean() - 0.5) < 3 * 0.5 / np.sqrt(4000)


def test_same_seed_same_play_and_coins_independent_of_the_tasks():
    chances = np.random.default_rng(0).random((500, 3))
    once, again = (bandits.play(bandits.thompson, chances, 5, seed=0) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert (bandits.play(bandits.greedy, chances, 5, 0) != bandits.play(bandits.greedy, chances, 5, 1)).any()


def test_tuning_finds_the_constant_that_others_found():
    assert bandits.tuned_exploration(5, 100, seed=0) == 0.2
    assert bandits.tuned_exploration(5, 10, seed=0) <= 0.15


GAUSSIAN = [  # regret of 100 pulls of five arms with noise 0.3, simulated before
    (bandits.empirical, 5.06, 0.10),
    (bandits.gaussian_thompson(0.3), 6.14, 0.04),
    (bandits.ucb(0.3), 4.32, 0.07),
]


@pytest.mark.parametrize(("index", "regret", "error"), GAUSSIAN, ids=["greedy", "thompson", "ucb"])
def test_known_regret_of_gaussian_arms(index, regret, error):
    means = np.random.default_rng(0).random((4000, 5))
    found = 100 * means.max(1) - bandits.play(index, means, 100, 0, noise=0.3)
    assert abs(found.mean() - regret) < 3 * np.hypot(error, found.std() / np.sqrt(4000))


def test_without_noise_one_pull_tells_all():
    seen = bandits.Seen(np.array([[1.0, 1.0, 2.0, 0.0]]), np.array([[0.4, 0.0, 2.0, 0.0]]))
    sampled = bandits.gaussian_thompson(0.0)(seen, 4, np.random.default_rng(0))
    np.testing.assert_allclose(sampled[0, :3], [0.4, 0.0, 1.0], atol=1e-6)
    assert 0 < sampled[0, 3] < 1


def test_epsilon_greedy_plays_anything_that_often():
    chances = np.tile([0.0, 1.0], (2000, 1))
    # A uniform choice in a tenth of the pulls, and the arm that never pays is else left after its first failure.
    earned = bandits.play(bandits.epsilon_greedy(0.1), chances, 40, seed=0)
    later = bandits.play(bandits.epsilon_greedy(0.1), chances, 20, seed=0)
    assert abs((earned - later).mean() / 20 - 0.95) < 3 * np.sqrt(0.05 * 0.95 / (20 * 2000))


@pytest.mark.parametrize(
    ("arm", "discount", "index"),
    [
        ((0, 0), 0.5, ".55902"),
        ((0, 0), 0.7, ".60460"),
        ((0, 0), 0.9, ".70289"),
        ((0, 0), 0.95, ".76143"),
        ((1, 0), 0.9, ".80006"),
        ((0, 1), 0.9, ".50013"),
        ((1, 1), 0.9, ".63463"),
    ],
)
def test_discounted_gittins_indices(arm, discount, index):
    assert f"{gittins_index(arm[0], arm[1], discount):.5f}" == "0" + index


def test_the_bound_lies_above_the_optimum_and_near_it_for_many_arms():
    exact = bernoulli_optimal(10, 10)
    assert exact is not None and exact < lagrangian_bound(10, 10) < 1.002 * exact
    assert lagrangian_bound(5, 10) > 6.65999


def test_the_bound_for_fifty_arms():
    assert 85.58 < lagrangian_bound(50, 100, rounds=150) < 85.85  # 85.78 with 400 rounds
