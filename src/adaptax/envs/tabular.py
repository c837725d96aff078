"""Random tabular MDPs: the task is the whole transition table and the mean of every reward."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey, Transition
from adaptax.fields import Count
from adaptax.ops.scene import Disc, Label, Path, Scene
from adaptax.ops.spaces import Discrete

PRIOR_MEAN = 1.0  # of the mean reward of a state and action, whose deviation is 1, as is that of the reward around it
OOD_CONCENTRATION = 0.1  # two states of a row hold seven eighths of it on average


class MDP(NamedTuple):
    """One MDP."""

    transition: Float[Array | np.ndarray, "S A S"]  # probability of the next state
    reward: Float[Array | np.ndarray, "S A"]  # its mean


class TabularState(NamedTuple):
    """The state of the MDP, and steps taken."""

    state: Int[Array, ""]
    time: Int[Array, ""]


class TabularMDP(Environment):
    r"""MDPs of a few states with random transitions and rewards, to be explored within a life.

    A task is drawn as $P(\cdot \mid s, a) \sim \mathrm{Dirichlet}(1, \dots, 1)$ and $\bar r(s, a) \sim N(1, 1)$,
    independently for all s and a. A step pays $r \sim N(\bar r(s, a), 1)$ and leads to
    $s' \sim P(\cdot \mid s, a)$. Every episode begins in state 0 and is cut after `horizon` steps; the state is seen.

    Splits: `train`, `validation` and `test` are fresh draws from the same distribution (kind `iid`); `ood` draws
    $P(\cdot \mid s, a) \sim \mathrm{Dirichlet}(0.1, \dots, 0.1)$, where an action nearly determines the next state and
    planning pays more; the rewards are as in training.

    Evaluation counts $\bar r(s, a)$ for a step, which has the mean of the reward without its noise.

    Known values (`adaptax.references`): by default an agent that knows the task earns 21.825 an episode, a random one
    10. The Bayes-optimal value cannot be computed; the best classical algorithm known to us, which is told the prior
    and plans anew in each step, earns 162 in ten episodes. So does one that takes each state for a bandit of its own
    and never asks where an action leads: in so few episodes these tasks want a good memory, and hardly a plan.

    Attributes:
        states: S, states of an MDP.
        actions: A, actions in each state.
        horizon: Steps of an episode.
        tries: Episodes in a life.

    References:
        Duan et al., 2016, "RL2: Fast reinforcement learning via slow reinforcement learning", arXiv:1611.02779,
        section 3.2.

    Differences from the paper:
        None in the tasks; the score is an estimator of the same mean.
    """

    states: Count = 10
    actions: Count = 5
    horizon: Count = 10
    tries: Count = 10

    observation_space = property(lambda self: Discrete(self.states))
    action_space = property(lambda self: Discrete(self.actions))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Flat Dirichlet rows; out of distribution nearly deterministic ones."""
        return TaskSplit.iid(lambda key: self._draw(key, 1.0), lambda key: self._draw(key, OOD_CONCENTRATION))

    def _draw(self, key: PRNGKey, concentration: float) -> MDP:
        """An MDP."""
        key_transition, key_reward = jax.random.split(key)
        shape = (self.states, self.actions)
        # Gamma variates are exponential at concentration 1, which are much faster to draw.
        if concentration == 1.0:
            mass = jax.random.exponential(key_transition, (*shape, self.states))
            transition = mass / jnp.sum(mass, -1, keepdims=True)
        else:
            transition = jax.random.dirichlet(key_transition, jnp.full(self.states, concentration), shape)
        return MDP(transition, PRIOR_MEAN + jax.random.normal(key_reward, shape))

    def task_problems(self, task: MDP) -> list[str]:
        """Rows of probabilities."""
        good = np.all(task.transition >= 0) and np.allclose(task.transition.sum(-1), 1.0, atol=1e-4)
        return [] if good else ["transition[s, a] must hold probabilities, which are >= 0 and sum to 1"]

    def reset(self, task: MDP, key: PRNGKey) -> tuple[TabularState, Int[Array, ""]]:
        """State 0."""
        del task, key
        state = TabularState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return state, state.state

    def step(
        self, task: MDP, state: TabularState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[TabularState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Draws the next state by inverting the cumulative sum of its row, faster here than Gumbel noise on all S."""
        luck, noise = jax.random.normal(key, (2,))  # both from one call: splitting a key costs as much as drawing
        cumulative = jnp.cumsum(task.transition[state.state, action])[:-1]  # the last is 1 but for rounding
        after = jnp.sum(jax.scipy.stats.norm.cdf(luck) >= cumulative, dtype=jnp.int32)
        reward = task.reward[state.state, action] + noise
        time = state.time + 1
        return TabularState(after, time), after, reward, jnp.array(False), time >= self.horizon

    def describe(self, task: MDP) -> Float[Array, " F"]:
        """Probabilities and mean rewards, each with mean 0 over the tasks and of the order of 1."""
        likely = self.states * task.transition - 1.0
        return jnp.concatenate([likely.ravel(), task.reward.ravel() - PRIOR_MEAN])

    def score(self, task: MDP, transition: Transition, split: str | None) -> Float[Array, ""]:
        """The mean of the reward."""
        del split
        return task.reward[transition.step.observation, transition.action]

    def render(self, task: MDP, state: TabularState) -> Scene:
        """The states in a circle, the larger the more their best action pays; where the one of this state leads."""
        angle = 2 * np.pi * np.arange(self.states) / self.states
        places = np.stack([np.sin(angle), np.cos(angle)], -1)
        pays, here = np.asarray(task.reward).max(-1), int(state.state)
        leads = np.asarray(task.transition)[here, np.asarray(task.reward)[here].argmax()]
        # An edge goes the further to the next state the more likely it is.
        ends = places[here] + (leads / leads.max())[:, None] * (places - places[here])
        edges = [Path(np.stack([places[here], end]), "trail") for end in ends]
        radius = 0.05 + 0.12 * (pays - pays.min()) / max(np.ptp(pays), 1e-6)
        discs = [Disc(x, y, r, "hidden") for (x, y), r in zip(places.tolist(), radius.tolist(), strict=True)]
        names = [Label(1.3 * x, 1.3 * y, str(number)) for number, (x, y) in enumerate(places.tolist())]
        agent = Disc(float(places[here, 0]), float(places[here, 1]), 0.04, "agent")
        return Scene((-1.5, -1.5), (1.5, 1.5), (*edges, *discs, agent, *names))
