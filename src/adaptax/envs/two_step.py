"""The two-step task: a choice leads, usually but not always, to one of two states, one of which pays."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.fields import Count, Fraction
from adaptax.ops.scene import Disc, Label, Path, Scene
from adaptax.ops.spaces import Discrete

START = 0  # the first state; the states of the second stage are 1 and 2


class TwoStepTask(NamedTuple):
    """Which second state is the good one, trial by trial, and what the poor and the good one pay."""

    better: Int[Array, " n"]  # 0 or 1
    pays: Float[Array, "2"]  # probabilities: of the poor state, of the good one


class TwoStepState(NamedTuple):
    """Where the agent is, and trials done."""

    place: Int[Array, ""]
    trial: Int[Array, ""]


class TwoStep(Environment):
    r"""Two steps a trial: the first chooses where to go, the second is paid there.

    From the first state, action a leads to second state a with probability `common`, else to the other. What is done
    there does not matter: one of the two pays 1 with probability `good`, the other with `poor`, and the next trial
    begins. Which one is the task; with `flip` > 0 the two change places with that probability before each later trial,
    and the task is the whole sequence. All trials of a life are one episode. The observation is the state (0 first,
    1 and 2 second), so that a reward after a rare transition can be told from one after a common transition.

    An agent that repeats what was rewarded ignores which transition led there; one that has a model of the task
    repeats an action after a rewarded common or an unrewarded rare transition. `adaptax.references.two_step.stays`
    tells them apart.

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); in `ood` rewards tell less: `good` and
    `poor` differ by a quarter less, by default 0.8 and 0.2.

    Known values (`adaptax.references`): both actions tell the same, so to choose what the belief favours is
    Bayes-optimal. With 100 trials it earns 69.6875 (who knows the task 70); with `common=0.8 flip=0.025` 70.59 (74).

    Attributes:
        trials: Trials in a life.
        common: Probability of the common transition.
        good: Probability that the better second state pays.
        poor: Probability that the other pays.
        flip: Probability that the two change places between two trials.

    References:
        Wang et al., 2016, "Learning to reinforcement learn", arXiv:1611.05763, section 3.2.2 (static); Wang et al.,
        2018, "Prefrontal cortex as a meta-reinforcement learning system", doi:10.1038/s41593-018-0147-8 (drifting:
        `common=0.8 flip=0.025`); Daw et al., 2011, doi:10.1016/j.neuron.2011.02.027.

    Differences from the paper:
        The drifting version begins with either state good, with equal probability.
    """

    trials: Count = 100
    common: Fraction = 0.75
    good: Fraction = 0.9
    poor: Fraction = 0.1
    flip: Fraction = 0.0

    observation_space = property(lambda self: Discrete(3))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: 2 * self.trials)
    episodes = property(lambda self: 1)

    @property
    def tasks(self) -> TaskSplit:
        """Which state is the good one in each trial; out of distribution, rewards tell less of it."""
        less = (self.good - self.poor) / 8

        def draw(poor: float, good: float, key: PRNGKey) -> TwoStepTask:
            return TwoStepTask(self._sequence(key), jnp.array([poor, good], float))

        return TaskSplit.iid(partial(draw, self.poor, self.good), partial(draw, self.poor + less, self.good - less))

    def _sequence(self, key: PRNGKey) -> Int[Array, " n"]:
        key_first, key_flips = jax.random.split(key)
        first = jax.random.bernoulli(key_first).astype(jnp.int32)
        flips = jax.random.bernoulli(key_flips, self.flip, (self.trials - 1,))
        return (first + jnp.append(0, jnp.cumsum(flips.astype(jnp.int32)))) % 2

    def problems(self) -> list[str]:
        """One state is better than the other."""
        return [] if self.poor < self.good else ["good must be greater than poor"]

    def task_problems(self, task: TwoStepTask) -> list[str]:
        """The good state is 0 or 1; probabilities lie between 0 and 1."""
        wrong = [] if np.isin(task.better, (0, 1)).all() else ["better must be 0 or 1 in each trial"]
        inside = np.all((task.pays >= 0) & (task.pays <= 1))
        return wrong + ([] if inside else ["pays must lie between 0 and 1"])

    def reset(self, task: TwoStepTask, key: PRNGKey) -> tuple[TwoStepState, Int[Array, ""]]:
        """The first trial."""
        del task, key
        nothing = jnp.zeros((), jnp.int32)
        return TwoStepState(nothing, nothing), nothing

    def step(
        self, task: TwoStepTask, state: TwoStepState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[TwoStepState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Goes to the second stage, or is paid there and back at the start."""
        key_way, key_pay = jax.random.split(key)
        choosing = state.place == START
        usual = jax.random.bernoulli(key_way, self.common)
        place = jnp.where(choosing, 1 + jnp.where(usual, action, 1 - action), START)
        is_good = (state.place - 1 == task.better[state.trial]).astype(jnp.int32)
        won = jax.random.bernoulli(key_pay, task.pays[is_good])
        reward = (won & ~choosing).astype(float)
        after = TwoStepState(place, state.trial + (~choosing).astype(jnp.int32))
        return after, place, reward, jnp.array(False), after.trial >= self.trials

    def describe(self, task: TwoStepTask) -> Float[Array, " F"]:
        """Which state is the better one in each trial, and what both pay."""
        return jnp.append(task.better.astype(float), task.pays)

    def render(self, task: TwoStepTask, state: TwoStepState) -> Scene:
        """The first state, and the two that it leads to: coloured the one that is good now."""
        spots = ((2.0, 3.0), (0.8, 1.0), (3.2, 1.0))
        ways = [Path(np.array([spots[0], spot]), "wall") for spot in spots[1:]]
        discs = [Disc(*spot, 0.5, "floor") for spot in spots]
        good = Disc(*spots[1 + int(task.better[min(int(state.trial), self.trials - 1)])], 0.5, "hidden")
        names = [Label(x, y - 0.75, name) for (x, y), name in zip(spots[1:], "12", strict=True)]
        return Scene(
            (0.0, 0.0), (4.0, 4.0), (*ways, *discs, good, *names, Disc(*spots[int(state.place)], 0.25, "agent"))
        )
