"""Bandits: the exact optimum where it can be computed, index policies, and who knows the best arm.

All in pseudo-regret, as `Bandit.score` counts; random play is exact.
"""

import jax
import numpy as np
from jaxtyping import Array, Float

from adaptax.core.env import in_training
from adaptax.core.types import Task
from adaptax.envs.bandits import Bandit, BernoulliBandit, DependentBandit, Gaussian, GaussianBandit, InformativeBandit
from adaptax.references import policies
from adaptax.references.bandit_limits import bernoulli_optimal, dependent_optimal, informative_optimal
from adaptax.references.base import Reference, references

MAX_GITTINS_PULLS = 200  # a table for every number of pulls left; its size grows with the third power
Indices = dict[str, policies.Index]


@references.register
def _bernoulli(
    env: BernoulliBandit, tasks: Float[Array | np.ndarray, "N A"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """Algorithms leave the slots that never pay alone, random actions do not."""
    indices = _for_coins(env.arms, episodes, seed)
    if episodes <= MAX_GITTINS_PULLS:
        indices = {"gittins": policies.gittins(episodes)} | indices
    values = _beside(env, tasks, seed, episodes, split, indices, arms=env.arms)
    return Reference(bernoulli_optimal(env.arms, episodes) if in_training(split) else None, values)


@references.register
def _dependent(
    env: DependentBandit, tasks: Float[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The algorithms take the arms for independent ones."""
    values = _beside(env, tasks, seed, episodes, split, _for_coins(2, episodes, seed))
    return Reference(dependent_optimal(env.arms_are, episodes) if in_training(split) else None, values)


@references.register
def _informative(
    env: InformativeBandit, tasks: Task, seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """Greedy play tries arms until it has the best, and never the one that tells."""
    values = _beside(env, tasks, seed, episodes, split, {})
    return Reference(informative_optimal(env.arms, episodes) if in_training(split) else None, values)


@references.register
def _gaussian(env: GaussianBandit, tasks: Gaussian, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """The algorithms know the noise of the training tasks."""
    tuned = policies.tuned_exploration(env.arms, episodes, seed, policies.ucb, env.noise)
    indices = {
        "ucb": policies.ucb(tuned),
        "thompson": policies.gaussian_thompson(env.noise),
        "greedy": policies.empirical,
    }
    noise = float(np.mean(np.asarray(tasks.noise)))
    return Reference(None, _beside(env, tasks, seed, episodes, split, indices, noise))


def _for_coins(arms: int, pulls: int, seed: int) -> Indices:
    """What is known for Bernoulli arms."""
    return {
        "thompson": policies.thompson,
        "optimistic thompson": policies.optimistic_thompson,
        "ucb1": policies.ucb1(policies.tuned_exploration(arms, pulls, seed)),
        "greedy": policies.greedy,
    }


def _beside(
    env: Bandit,
    tasks: Task,
    seed: int,
    episodes: int,
    split: str | None,
    indices: Indices,
    noise: float | None = None,
    arms: int | None = None,
) -> dict[str, float]:
    """Returns of a life of each algorithm, of who knows the best arm, and of random actions."""
    means = np.asarray(jax.vmap(env.means)(tasks), np.float64)
    best = means.max(1).mean()
    luck = env.best - best if in_training(split) else 0.0  # of having drawn these tasks
    earned = {name: policies.play(index, means[:, :arms], episodes, seed, noise) for name, index in indices.items()}
    beside = {name: float(total.mean() + episodes * luck) for name, total in earned.items()}
    random = {"random": float(episodes * (means.mean() + luck))}
    return {"oracle": float(episodes * (best + luck))} | beside | random
