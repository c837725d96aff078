"""A restless bandit: what the arms pay drifts while they are pulled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey, Transition
from adaptax.fields import Count, Positive
from adaptax.ops.scene import Path, Scene
from adaptax.ops.spaces import Box, Discrete


class Drift(NamedTuple):
    """A task of `RestlessBandit`: the way that the first arm's probability takes, and how fast."""

    probability: Float[Array, " n"]
    volatility: Float[Array, ""] | float  # standard deviation of its change from one pull to the next


class RestlessBandit(Environment):
    r"""Two arms whose probabilities add up to one and drift while they are pulled.

    $p_1 \sim U[0, 1]$ and $p_{t+1} = p_t + v \epsilon_t$ with $\epsilon_t \sim N(0, 1)$, reflected at 0 and 1; the
    other arm pays with $1 - p_t$. The volatility v is low in half of the tasks and high in the others: how fast one
    should forget is itself to be found out. All pulls of a life are one episode; the observation is the share of it
    that has passed. Evaluation counts the probability of the arm pulled, which has the mean of the reward and less
    noise.

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); `ood` has twice the high volatility.

    Known values (`adaptax.references`): both arms tell the same, so to play what a Bayesian filter over p and v favours
    is optimal; it is computed on a grid.

    Attributes:
        pulls: n, pulls in a life.
        low: Volatility of the calm tasks, a pull.
        high: Volatility of the others.

    References:
        Wang et al., 2016, "Learning to reinforcement learn", arXiv:1611.05763, section 3.1.4.

    Differences from the paper:
        The drift is a reflected random walk with these two volatilities; the agent reads the time, as there.
    """

    pulls: Count = 100
    low: Positive = 0.02
    high: Positive = 0.15

    observation_space = property(lambda self: Box(0.0, 1.0, (1,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: self.pulls)
    episodes = property(lambda self: 1)

    @property
    def tasks(self) -> TaskSplit:
        """Either volatility; out of distribution more than the high one."""

        def either(key: PRNGKey) -> Drift:
            key_kind, key_way = jax.random.split(key)
            return self._way(key_way, jnp.where(jax.random.bernoulli(key_kind), self.high, self.low))

        return TaskSplit.iid(either, lambda key: self._way(key, jnp.array(2.0 * self.high)))

    def _way(self, key: PRNGKey, volatility: Float[Array, ""]) -> Drift:
        key_first, key_steps = jax.random.split(key)
        changes = volatility * jax.random.normal(key_steps, (self.pulls - 1,))
        way = jax.random.uniform(key_first) + jnp.append(0.0, jnp.cumsum(changes))
        folded = way % 2.0  # a walk reflected at both ends is a free one, folded
        return Drift(jnp.minimum(folded, 2.0 - folded), volatility)

    def task_problems(self, task: Drift) -> list[str]:
        """A probability lies between 0 and 1."""
        inside = np.all((task.probability >= 0) & (task.probability <= 1))
        return [] if inside else ["each pull's probability must lie between 0 and 1"]

    def reset(self, task: Drift, key: PRNGKey) -> tuple[Int[Array, ""], Float[Array, "1"]]:
        """The first pull."""
        del task, key
        return jnp.zeros((), jnp.int32), jnp.zeros(1)

    def step(
        self, task: Drift, state: Int[Array, ""], action: Int[Array, ""], key: PRNGKey
    ) -> tuple[Int[Array, ""], Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pulls an arm."""
        reward = jax.random.bernoulli(key, _chance(task, state, action)).astype(float)
        time = state + 1
        return time, (time.astype(float) / self.pulls)[None], reward, jnp.array(False), time >= self.pulls

    def score(self, task: Drift, transition: Transition, split: str | None) -> Float[Array, ""]:
        """The probability of the arm pulled."""
        del split
        time = jnp.round(transition.step.observation[0] * self.pulls).astype(jnp.int32)
        return _chance(task, time, transition.action)

    def describe(self, task: Drift) -> Float[Array, " F"]:
        """The way and the volatility."""
        return jnp.append(task.probability, task.volatility)

    def render(self, task: Drift, state: Int[Array, ""]) -> Scene:
        """The ways of both arms, and where time stands."""
        way = np.asarray(task.probability)
        times = np.arange(self.pulls) / self.pulls
        now = Path(np.array([[float(state) / self.pulls, 0.0], [float(state) / self.pulls, 1.0]]), "agent")
        arms = (Path(np.stack([times, 1.0 - way], 1), "wall"), Path(np.stack([times, way], 1), "hidden"))
        return Scene((0.0, 0.0), (1.0, 1.0), (*arms, now))


def _chance(task: Drift, time: Int[Array, ""], action: Int[Array, ""]) -> Float[Array, ""]:
    """The probability that a pull pays."""
    first = task.probability[time]
    return jnp.where(action == 0, first, 1.0 - first)
