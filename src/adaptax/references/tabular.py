"""Tabular MDPs: who knows the task plans in it; random play; and the classical algorithms for what is unknown."""

import numpy as np

from adaptax.envs.tabular import MDP, TabularMDP
from adaptax.references.base import Reference, references
from adaptax.references.planning import Tables, value_iteration
from adaptax.references.tabular_agents import affordable, contenders, tuned

SIMULATED = 2_000  # tasks that algorithms are simulated on, at most
MAX_STEPS = 250  # of a life in which planning in each step takes seconds


@references.register
def _tabular(env: TabularMDP, tasks: MDP, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """All in mean rewards, as `TabularMDP.score` counts. The Bayes-optimal value cannot be computed.

    `oracle` and `random` are exact for the tasks given. The algorithms are simulated on the first of them, at most
    2,000; where these are not all, by how much the oracle earns less on them than on all is added to what they earn.
    """
    del split
    known = Tables(np.asarray(tasks.transition, float), np.asarray(tasks.reward, float))
    oracle = episodes * episode_values(known, env.horizon)
    values = {"oracle": float(oracle.mean())}
    count = min(len(oracle), affordable(SIMULATED, env.states, env.actions, env.horizon, episodes))
    luck = oracle.mean() - oracle[:count].mean()
    for name in contenders():
        if name != "beb each step" or env.horizon * episodes <= MAX_STEPS:
            play = tuned(name, env.states, env.actions, env.horizon, episodes)
            values[name] = float(play(known.some(slice(count)), env.horizon, episodes, seed).mean() + luck)
    values["random"] = float(episodes * random_values(known, env.horizon).mean())
    return Reference(None, values)


def episode_values(mdps: Tables, horizon: int) -> np.ndarray:
    """What who knows the task earns in an episode, `[N]`.

    Over the family's prior, with 10 states, 5 actions and 10 steps, 21.825 on average.
    """
    return value_iteration(mdps, horizon)[0][0, :, 0]


def random_values(mdps: Tables, horizon: int) -> np.ndarray:
    """What random actions earn in an episode, `[N]`: there is one action, and it does what they do on average."""
    return episode_values(Tables(*(entries.mean(2, keepdims=True) for entries in mdps)), horizon)
