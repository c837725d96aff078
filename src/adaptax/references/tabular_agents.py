r"""Classical algorithms for tabular MDPs, one agent for each task, all tasks at once.

Those that plan keep a posterior: Dirichlet(1 + visits) for the next state, and for the mean of a reward

$$N\!\left(\frac{\mu_0 + \sum r}{1 + n}, \frac{1}{1 + n}\right)$$

with n the times that the action was tried. The prior of the family has $\mu_0 = 1$, and that is the default here.

The published rows (Duan et al., 2016, arXiv:1611.02779, section 3.2) are those of agents that believe $\mu_0 = 0$ and
plan once an episode: with that, PSRL, optimistic PSRL, UCRL2, BEB ($\beta = 1$) and epsilon-greedy earn what is
published for 10 and for 25 episodes, within three standard errors. Greedy does not: 129.7(4) and 348.5(1.4) here,
134.8 and 368.8 there. To plan anew in each step gives 135.2(4), but 352(3); to believe $\mu_0 = 0.25$ would give
135.9(8) and 368.6(1.9).

Those who know that $\mu_0 = 1$ need explore less: in 10 episodes greedy earns 149.9(3), BEB 151.9(3), PSRL only
134.0(3). Who also plans anew in each step earns most, 162.4(3) with BEB: more than the meta-learners published (160.1).

Planning hardly pays here. Who takes each state for a bandit of its own, and does not care where an action leads, earns
161.8(2) in 10 episodes and 459.3(4) in 25: more than all rows that were published.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from adaptax.envs.tabular import PRIOR_MEAN
from adaptax.references.planning import ActionValues, Rewards, Tables, action_values, optimistic_values

CONFIDENCE = 0.05  # delta of UCRL2; it hardly matters, as its logarithm is scaled
DISCOUNT = 0.9  # of Q-learning, which does not count steps: about ten lie ahead
SAMPLES = 10  # of optimistic PSRL
TUNING_TASKS = 300
WORK = 100_000_000  # probabilities that are planned with in all lives: where these are large or long, there are fewer
# Constants that are tuned over.
EPSILONS = (0.02, 0.05, 0.1, 0.2)
BONUSES = (0.25, 0.5, 1.0, 1.5, 2.0)
SCALINGS = (0.05, 0.1, 0.2, 0.3, 0.4)
RATES = (0.05, 0.1, 0.2, 0.5)
WORLD, AGENT, TUNING = 1, 2, 3  # streams of a seed: all algorithms meet the same luck


class Known(NamedTuple):
    """What each agent has seen of its MDP."""

    visits: Float[np.ndarray, "N S A S"]  # how often an action led to a state
    paid: Rewards  # sum of the rewards
    prior_mean: float

    @property
    def tried(self) -> Rewards:
        """How often each action was taken."""
        return self.visits.sum(-1)

    def expected(self) -> Tables:
        """The MDP of posterior means."""
        tried = self.tried
        transition = (1 + self.visits) / (self.visits.shape[-1] + tried)[..., None]
        return Tables(transition, (self.prior_mean + self.paid) / (1 + tried))

    def sampled(self, rng: np.random.Generator) -> Tables:
        """An MDP drawn from the posterior."""
        mass = rng.standard_gamma(1 + self.visits)
        noise = rng.standard_normal(self.paid.shape) / np.sqrt(1 + self.tried)
        return Tables(mass / mass.sum(-1, keepdims=True), self.expected().reward + noise)


Shape = tuple[int, ...]  # (N, S, A)
States = Int[np.ndarray, " N"]
Moment = tuple[np.ndarray, States, Int[np.ndarray, " N"]]  # (tasks, states, actions)
Player = Callable[[Tables, int, int, int], Float[np.ndarray, " N"]]  # (tasks, horizon, episodes, seed) -> totals
Planner = Callable[[Known, int, int, np.random.Generator], ActionValues]  # (known, steps left, steps lived, random)


def posterior_mean(known: Known, left: int, lived: int, rng: np.random.Generator) -> ActionValues:
    """Plans as if the posterior mean were the MDP: greedy, certainty-equivalent."""
    return action_values(known.expected(), left)


def psrl(samples: int = 1) -> Planner:
    """Posterior sampling; with several samples, the best of them for each state, action and step (optimistic PSRL).

    Strens, 2000, "A Bayesian framework for reinforcement learning"; Osband, Russo and Van Roy, 2013, "(More) efficient
    reinforcement learning via posterior sampling", arXiv:1306.0940.
    """

    def plan(known: Known, left: int, lived: int, rng: np.random.Generator) -> ActionValues:
        best = action_values(known.sampled(rng), left)
        for _ in range(samples - 1):
            best = np.maximum(best, action_values(known.sampled(rng), left))
        return best

    return plan


def beb(beta: float) -> Planner:
    r"""The Bayesian exploration bonus: the posterior mean, where an action tried n times pays $\beta / (1 + n)$ more.

    Kolter and Ng, 2009, "Near-Bayesian exploration in polynomial time", ICML. There n counts the prior's observations
    too, S of them, so that the same bonus takes a $\beta$ many times larger and fades later; the published row is what
    this one earns.

    Args:
        beta: The bonus of an action that was never tried.
    """

    def plan(known: Known, left: int, lived: int, rng: np.random.Generator) -> ActionValues:
        transition, reward = known.expected()
        return action_values(Tables(transition, reward + beta / (1 + known.tried)), left)

    return plan


def ucrl2(scaling: float) -> Planner:
    r"""Optimism in the face of uncertainty: the best MDP of those that are plausible after t steps.

    Empirical means, with the confidence intervals of Jaksch, Ortner and Auer, 2010, "Near-optimal regret bounds for
    reinforcement learning", JMLR 11, equations 3 and 4, times a constant (1 there):

    $$\sqrt{\frac{7 \ln(2 S A t / \delta)}{2 \max(1, n)}} \text{ for rewards}, \quad
    \sqrt{\frac{14 S \ln(2 A t / \delta)}{\max(1, n)}} \text{ for transitions}$$

    It plans once an episode, for its finite horizon. An untried action pays the prior's mean, plus its interval.

    Args:
        scaling: The constant.
    """

    def plan(known: Known, left: int, lived: int, rng: np.random.Generator) -> ActionValues:
        tried, (_, states, actions) = known.tried, known.paid.shape
        count = np.maximum(tried, 1)
        transition = np.where(tried[..., None] > 0, known.visits / count[..., None], 1 / states)
        reward = np.where(tried > 0, known.paid / count, known.prior_mean)
        chances = 2 * actions * (lived + 1) / CONFIDENCE
        bonus = scaling * np.sqrt(7 * np.log(states * chances) / (2 * count))
        slack = scaling * np.sqrt(14 * states * np.log(chances) / count)
        return optimistic_values(Tables(transition, reward + bonus), slack, left)

    return plan


def bandits(bonus: float) -> Planner:
    r"""Each state is a bandit, whatever comes next: the posterior mean of the reward plus $c / \sqrt{1 + n}$.

    Args:
        bonus: The constant c.
    """

    def plan(known: Known, left: int, lived: int, rng: np.random.Generator) -> ActionValues:
        return (known.expected().reward + bonus / np.sqrt(1 + known.tried))[None]

    return plan


class Agent(ABC):
    """One agent in each of N tasks."""

    @abstractmethod
    def act(self, lived: int, state: States) -> Int[np.ndarray, " N"]:
        """The actions after so many steps."""

    @abstractmethod
    def see(self, at: Moment, reward: Float[np.ndarray, " N"], after: States) -> None:
        """Learns from a step: (tasks, states, actions), rewards, next states."""


class Planning(Agent):
    """Plans with what it knows, and then takes the best action.

    Args:
        planner: How.
        horizon: Steps of an episode.
        shape: (N, S, A).
        rng: Of samples and random actions.
        epsilon: Chance of a random action instead.
        every_step: It plans anew in each step, not in each episode.
        prior_mean: What it believes of the mean of a reward before it has seen any.
    """

    def __init__(
        self,
        planner: Planner,
        horizon: int,
        shape: Shape,
        rng: np.random.Generator,
        epsilon: float = 0.0,
        every_step: bool = False,
        prior_mean: float = PRIOR_MEAN,
    ):
        self.planner, self.horizon, self.rng = planner, horizon, rng
        self.epsilon, self.every_step = epsilon, every_step
        self.known = Known(np.zeros((*shape, shape[1])), np.zeros(shape), prior_mean)
        self.plan, self.planned = np.empty(0), 0

    def act(self, lived: int, state: States) -> Int[np.ndarray, " N"]:
        """The best action of the plan."""
        step = lived % self.horizon
        if step == 0 or self.every_step:
            self.plan, self.planned = self.planner(self.known, self.horizon - step, lived, self.rng), step
        values = self.plan[step - self.planned, np.arange(len(state)), state]
        return _mostly_best(values, self.epsilon, self.rng)

    def see(self, at: Moment, reward: Float[np.ndarray, " N"], after: States) -> None:
        """Counts."""
        self.known.visits[(*at, after)] += 1
        self.known.paid[at] += reward


class QLearning(Agent):
    r"""Q-learning from scratch, without a model and without knowing how tasks are drawn.

    $$Q(s, a) \leftarrow Q(s, a) + \alpha (r + \gamma \max_{a'} Q(s', a') - Q(s, a)), \quad \gamma = 0.9$$

    Watkins, 1989, "Learning from delayed rewards".

    Args:
        rate: The step size.
        horizon: Steps of an episode; it does not count them.
        shape: (N, S, A).
        rng: Of random actions.
        epsilon: Chance of a random action.
    """

    def __init__(self, rate: float, horizon: int, shape: Shape, rng: np.random.Generator, epsilon: float):
        self.rate, self.epsilon, self.rng = rate, epsilon, rng
        self.value = np.zeros(shape)

    def act(self, lived: int, state: States) -> Int[np.ndarray, " N"]:
        """The action of the largest Q."""
        return _mostly_best(self.value[np.arange(len(state)), state], self.epsilon, self.rng)

    def see(self, at: Moment, reward: Float[np.ndarray, " N"], after: States) -> None:
        """One update."""
        target = reward + DISCOUNT * self.value[at[0], after].max(-1)
        self.value[at] += self.rate * (target - self.value[at])


def _mostly_best(values: Float[np.ndarray, "N A"], epsilon: float, rng: np.random.Generator) -> Int[np.ndarray, " N"]:
    """The action of the largest value, or with chance epsilon any."""
    count, actions = values.shape
    best = values.argmax(-1)  # of equals the first: actions that nothing is known of are alike
    return np.where(rng.random(count) < epsilon, rng.integers(0, actions, count), best) if epsilon else best


def live(
    agent: Callable[[int, Shape, np.random.Generator], Agent], tasks: Tables, horizon: int, episodes: int, seed: int
) -> Float[np.ndarray, " N"]:
    """Lives in each task, and counts the mean rewards of what was done there: returns without their noise.

    Args:
        agent: Makes who acts, from `horizon`, (N, S, A) and a source of random numbers.
        tasks: The MDPs.
        horizon: Steps of an episode.
        episodes: Episodes in a life.
        seed: Of the world's luck and the agent's.

    Returns:
        One total for each task.
    """
    cumulative, means = np.cumsum(tasks.transition, -1)[..., :-1], np.asarray(tasks.reward, float)
    world, count = np.random.default_rng([seed, WORLD]), len(means)
    actor = agent(horizon, means.shape, np.random.default_rng([seed, AGENT]))
    total, after = np.zeros(count), np.zeros(count, int)
    for lived in range(horizon * episodes):
        state = after if lived % horizon else np.zeros(count, int)
        at = (np.arange(count), state, actor.act(lived, state))
        after = (world.random((count, 1)) >= cumulative[at]).sum(-1)
        actor.see(at, means[at] + world.standard_normal(count), after)
        total += means[at]
    return total


def contenders(prior_mean: float = PRIOR_MEAN) -> dict[str, list[Player]]:
    """Every algorithm by its name, under each of the constants that it may be tuned to."""

    def planning(planner: Planner, **how: Any) -> Player:
        return partial(live, partial(Planning, planner, prior_mean=prior_mean, **how))

    return {
        "psrl": [planning(psrl())],
        "opsrl": [planning(psrl(SAMPLES))],
        "ucrl2": [planning(ucrl2(scaling)) for scaling in SCALINGS],
        "beb": [planning(beb(beta)) for beta in BONUSES],
        "beb each step": [planning(beb(beta), every_step=True) for beta in BONUSES],
        "bandits": [planning(bandits(bonus), every_step=True) for bonus in BONUSES],
        "epsilon-greedy": [planning(posterior_mean, epsilon=epsilon) for epsilon in EPSILONS],
        "greedy": [planning(posterior_mean)],
        "q-learning": [partial(live, partial(QLearning, rate, epsilon=e)) for rate in RATES for e in EPSILONS],
    }


def affordable(most: int, states: int, actions: int, horizon: int, episodes: int) -> int:
    """How many tasks agents can live in within seconds, planning in each episode for all of its steps."""
    return min(most, max(WORK // (states**2 * actions * horizon * episodes), 1))


@lru_cache
def tuned(name: str, states: int, actions: int, horizon: int, episodes: int, prior_mean: float = PRIOR_MEAN) -> Player:
    """The algorithm under the constant that earns most on tasks of its own, drawn from the prior."""
    found = contenders(prior_mean)[name]
    if len(found) == 1:
        return found[0]
    tasks = drawn(affordable(TUNING_TASKS, states, actions, horizon, episodes), states, actions, TUNING)
    return max(found, key=lambda play: play(tasks, horizon, episodes, TUNING).mean())


def drawn(count: int, states: int, actions: int, seed: int) -> Tables:
    """Tasks of the training distribution."""
    rng = np.random.default_rng([seed, TUNING])
    transition = rng.dirichlet(np.ones(states), (count, states, actions))
    return Tables(transition, rng.normal(PRIOR_MEAN, 1.0, (count, states, actions)))
