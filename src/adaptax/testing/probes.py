"""Probe tasks: environments so small that the right answer is known, each made to catch one defect.

They are public: users test their own learners with them. The fourth probe, a two-armed bandit, is
`BernoulliBandit(arms=2)`, whose Bayes-optimal value for 10 pulls is 6.02179.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.fields import Count
from adaptax.ops.spaces import Box, Discrete

Outcome = tuple[Any, Array, Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]


class CueState(NamedTuple):
    """The cue of this episode, and steps taken."""

    cue: Int[Array, ""]
    time: Int[Array, ""]


class CueRecall(Environment):
    """Memory: a cue shown in the first step of an episode must be named in its last.

    The cue is drawn afresh for each episode, uniformly; after the first step the observation is blank (the number
    `cues`). Only the last action counts: it pays 1 if it names the cue. There is one task, so nothing but memory
    inside the episode helps.

    Known values: the optimum is 1 an episode; without memory no policy has more than 1 / cues. (A learner that is fed
    its own last action may keep the cue there; that is memory too.)

    Attributes:
        cues: Number of different cues.
        delay: Steps between seeing the cue and naming it.
        trials: Episodes in a life.
    """

    cues: Count = 3
    delay: Count = 3
    trials: Count = 2

    observation_space = property(lambda self: Discrete(self.cues + 1))
    action_space = property(lambda self: Discrete(self.cues))
    episode_steps = property(lambda self: self.delay + 1)
    episodes = property(lambda self: self.trials)
    optimum = property(lambda self: 1.0, doc="Best expected return of an episode.")
    blind = property(lambda self: 1.0 / self.cues, doc="Best expected return of an episode without memory.")

    @property
    def tasks(self) -> TaskSplit:
        """One task."""
        return _single_task()

    def reset(self, task: Float[Array, ""], key: PRNGKey) -> tuple[CueState, Int[Array, ""]]:
        """Draws and shows a cue."""
        del task
        cue = jax.random.randint(key, (), 0, self.cues)
        return CueState(cue, jnp.zeros((), jnp.int32)), cue

    def step(self, task: Float[Array, ""], state: CueState, action: Int[Array, ""], key: PRNGKey) -> Outcome:
        """Blank, until the last action is judged."""
        del task, key
        over = state.time >= self.delay
        reward = (over & (action == state.cue)).astype(float)
        blank = jnp.asarray(self.cues, state.cue.dtype)
        return state._replace(time=state.time + 1), blank, reward, over, jnp.array(False)

    def describe(self, task: Float[Array, ""]) -> Float[Array, "1"]:
        """Nothing varies."""
        return task[None]


class LineState(NamedTuple):
    """Where the agent is, and steps taken."""

    position: Int[Array, ""]
    time: Int[Array, ""]


class GoalOnLine(Environment):
    """Adaptation must help: a goal on a line, on a side that only the reward tells.

    The task is the side, -1 or 1, each with probability 1/2; the goal lies `horizon` cells from the start on that
    side. The actions step left or right, and a step pays the progress made towards the goal: 1 / horizon or
    -1 / horizon. The observation is the position over `horizon`, which tells nothing about the side.

    Known values: who knows the side returns 1 an episode; any policy that heeds neither rewards nor memory exactly 0
    on average; a Bayes-optimal agent (T - 1) / T in its first episode of T steps, for the first reward tells the
    side, and 1 in each later one.

    Attributes:
        horizon: T, steps of an episode.
        trials: Episodes in a life.
    """

    horizon: Count = 5
    trials: Count = 2

    observation_space = property(lambda self: Box(-1.0, 1.0, (1,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.trials)
    optimum = property(lambda self: 1.0, doc="Best return of an episode once the side is known.")
    blind = property(lambda self: 0.0, doc="Expected return of an episode of any policy that does not adapt.")

    @property
    def optimal_total(self) -> float:
        """Bayes-optimal return of a whole life."""
        return self.trials - 1.0 / self.horizon

    @property
    def tasks(self) -> TaskSplit:
        """Either side; the same two tasks in all splits."""
        side = lambda key: jax.random.rademacher(key, (), float)
        return TaskSplit.iid(side, side)

    def reset(self, task: Float[Array, ""], key: PRNGKey) -> tuple[LineState, Float[Array, "1"]]:
        """Back to the middle."""
        del task, key
        return LineState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)), jnp.zeros(1)

    def step(self, task: Float[Array, ""], state: LineState, action: Int[Array, ""], key: PRNGKey) -> Outcome:
        """One cell to the left (0) or to the right (1)."""
        del key
        move = jnp.where(action == 1, 1, -1).astype(jnp.int32)
        after = LineState(state.position + move, state.time + 1)
        observation = after.position.astype(float)[None] / self.horizon
        reward = task * move.astype(float) / self.horizon
        return after, observation, reward, jnp.array(False), after.time >= self.horizon

    def describe(self, task: Float[Array, ""]) -> Float[Array, "1"]:
        """The side."""
        return task[None]


class IdentityState(NamedTuple):
    """The number shown, and steps taken."""

    shown: Int[Array, ""]
    time: Int[Array, ""]


class IdentityTask(Environment):
    """Adaptation must not hurt: one single task, to repeat the number that is shown.

    A fresh number, uniform, is shown in each step; naming it pays 1 / horizon. All that there is to learn can be
    learned in the outer loop, so a trained agent must be as good after adaptation as before.

    Known values: the optimum is 1 an episode, before adaptation and after; any policy blind to the observation has
    1 / symbols.

    Attributes:
        symbols: How many numbers there are.
        horizon: Steps of an episode.
        trials: Episodes in a life.
    """

    symbols: Count = 3
    horizon: Count = 5
    trials: Count = 2

    observation_space = property(lambda self: Discrete(self.symbols))
    action_space = property(lambda self: Discrete(self.symbols))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.trials)
    optimum = property(lambda self: 1.0, doc="Best return of an episode.")
    blind = property(lambda self: 1.0 / self.symbols, doc="Expected return of an episode with closed eyes.")

    @property
    def tasks(self) -> TaskSplit:
        """One task."""
        return _single_task()

    def reset(self, task: Float[Array, ""], key: PRNGKey) -> tuple[IdentityState, Int[Array, ""]]:
        """Shows a number."""
        del task
        shown = jax.random.randint(key, (), 0, self.symbols)
        return IdentityState(shown, jnp.zeros((), jnp.int32)), shown

    def step(self, task: Float[Array, ""], state: IdentityState, action: Int[Array, ""], key: PRNGKey) -> Outcome:
        """Pays for the right name and shows the next number."""
        del task
        reward = (action == state.shown).astype(float) / self.horizon
        after = IdentityState(jax.random.randint(key, (), 0, self.symbols), state.time + 1)
        return after, after.shown, reward, jnp.array(False), after.time >= self.horizon

    def describe(self, task: Float[Array, ""]) -> Float[Array, "1"]:
        """Nothing varies."""
        return task[None]


def _single_task() -> TaskSplit:
    """The same task in all splits."""
    nothing = lambda key: jnp.zeros(())
    return TaskSplit.iid(nothing, nothing)
