"""Point navigation in the plane: the task is a goal that the agent cannot see."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.fields import Count, Positive
from adaptax.ops.scene import Disc, Path, Scene
from adaptax.ops.spaces import Box

REACHED = 0.01  # an episode ends when both coordinates are this near (Finn's `point_env_randgoal.py`)


class PointState(NamedTuple):
    """Where the point is, and steps taken."""

    position: Float[Array, "2"]
    time: Int[Array, ""]

    @staticmethod
    def at(position: tuple[float, float]) -> "PointState":
        """Where an episode begins."""
        return PointState(jnp.array(position, float), jnp.zeros((), jnp.int32))

    def moved(self, action: Float[Array, "2"], speed: float) -> "PointState":
        """One step on, by the action or the longest move on each axis."""
        return PointState(self.position + jnp.clip(action, -speed, speed), self.time + 1)


class PointNavigation(Environment):
    r"""2-D navigation: walk to a goal that only the reward tells of.

    The point starts at the origin and moves by its action, clipped to `speed` on each axis:
    $x_{t+1} = x_t + \mathrm{clip}(a_t, \pm 0.1)$, $r_t = -\lVert x_{t+1} - g \rVert_2$. An episode terminates when both
    coordinates are within 0.01 of the goal, and is truncated after `horizon` steps. The observation is the position.

    Splits: `train`, `validation` and `test` draw the goal $g \sim U[-0.5, 0.5]^2$ afresh (kind `iid`); `ood` draws it
    from the frame around that square, up to twice its size.

    Known values (`adaptax.references`): walking straight to a known goal returns -0.506 on average, standing still at
    the origin -38.26.

    Attributes:
        horizon: Longest episode, steps.
        size: Half the side of the square of goals, length units.
        speed: Longest move on each axis, length units a step.

    References:
        Finn, Abbeel and Levine, 2017, "Model-agnostic meta-learning for fast adaptation of deep networks",
        arXiv:1703.03400, section 5.3.

    Differences from the paper:
        None known; horizon, clipping and the end of an episode are those of its code.
    """

    horizon: Count = 100
    size: Positive = 0.5
    speed: Positive = 0.1

    observation_space = property(lambda self: Box(float("-inf"), float("inf"), (2,)))
    action_space = property(lambda self: Box(-self.speed, self.speed, (2,)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: 1)

    @property
    def tasks(self) -> TaskSplit:
        """Goals in the square; out of distribution in the frame around it."""
        return TaskSplit.iid(
            lambda key: jax.random.uniform(key, (2,), minval=-self.size, maxval=self.size), self._goal_outside
        )

    def _goal_outside(self, key: PRNGKey) -> Float[Array, "2"]:
        """One coordinate is beyond the square, the other anywhere in the frame's side; which is which is random."""
        key_far, key_sign, key_any, key_swap = jax.random.split(key, 4)
        far = jax.random.uniform(key_far, minval=self.size, maxval=2 * self.size)
        far = far * jax.random.rademacher(key_sign, (), far.dtype)
        anywhere = jax.random.uniform(key_any, minval=-2 * self.size, maxval=2 * self.size)
        goal = jnp.stack([far, anywhere])
        return jnp.where(jax.random.bernoulli(key_swap), goal[::-1], goal)

    def reset(self, task: Float[Array, "2"], key: PRNGKey) -> tuple[PointState, Float[Array, "2"]]:
        """Back to the origin."""
        del task, key
        state = PointState.at((0.0, 0.0))
        return state, state.position

    def step(
        self, task: Float[Array, "2"], state: PointState, action: Float[Array, "2"], key: PRNGKey
    ) -> tuple[PointState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves, and pays the distance that is left."""
        del key
        state = state.moved(action, self.speed)
        away = state.position - task
        terminated = jnp.all(jnp.abs(away) < REACHED)
        truncated = (state.time >= self.horizon) & ~terminated
        return state, state.position, -jnp.linalg.norm(away), terminated, truncated

    def describe(self, task: Float[Array, "2"]) -> Float[Array, "2"]:
        """The goal, in units of the square."""
        return task / self.size

    def render(self, task: Float[Array, "2"], state: PointState) -> Scene:
        """The square of the goals, the goal and the point."""
        corners = self.size * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)])
        return _plane(Path(corners, "wall"), task, 0.04 * self.size, state, 2 * self.size)


class SemicircleNavigation(Environment):
    r"""2-D navigation with sparse reward: the goal lies on a semicircle, and pays only who is near it.

    The point starts at the origin and moves by its action, clipped to `speed` on each axis. With $d_t$ the distance to
    the goal after a step, $r_t = 1 - d_t$ where $d_t$ is at most `radius`, otherwise 0; nothing ends an episode but its
    `horizon`. The observation is the position, so the goal must be searched for, and found again in later episodes.

    Splits: `train`, `validation` and `test` draw the goal's angle $\phi \sim U[0, \pi]$ on the unit circle afresh (kind
    `iid`); `ood` draws it from the lower half, where training never pays.

    Known values (`adaptax.references`): walking straight to a known goal returns 13.382 an episode on average; with
    dense reward -3.841.

    Attributes:
        horizon: Steps of an episode.
        tries: Episodes in a life.
        speed: Longest move on each axis, length units a step.
        radius: How near the goal reward is paid, length units.
        sparse: Whether reward is paid near the goal alone; else it is $-d_t$ in every step.

    References:
        Rakelly et al., 2019, "Efficient off-policy meta-reinforcement learning via probabilistic context variables",
        arXiv:1903.08254; numbers from its code's `sparse-point-robot`.

    Differences from the paper:
        Goals are drawn from the whole semicircle; its code draws 100 once, evenly spaced, trains on 80 and tests on 20.
        The dense reward, which its code trains on, is a field.
    """

    horizon: Count = 20
    tries: Count = 20
    speed: Positive = 0.1
    radius: Positive = 0.2
    sparse: bool = True

    observation_space = property(lambda self: Box(float("-inf"), float("inf"), (2,)))
    action_space = property(lambda self: Box(-self.speed, self.speed, (2,)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Goals on the upper semicircle; out of distribution on the lower one."""
        return TaskSplit.iid(lambda key: on_circle(key, 0.0, np.pi), lambda key: on_circle(key, -np.pi, 0.0))

    def reset(self, task: Float[Array, "2"], key: PRNGKey) -> tuple[PointState, Float[Array, "2"]]:
        """Back to the origin."""
        del task, key
        state = PointState.at((0.0, 0.0))
        return state, state.position

    def step(
        self, task: Float[Array, "2"], state: PointState, action: Float[Array, "2"], key: PRNGKey
    ) -> tuple[PointState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves, and pays near the goal."""
        del key
        state = state.moved(action, self.speed)
        reward = self.reward(jnp.linalg.norm(state.position - task))
        return state, state.position, reward, jnp.array(False), state.time >= self.horizon

    def reward(self, distance: Float[Array, "..."]) -> Float[Array, "..."]:
        """What a step pays that ends so far from the goal."""
        return jnp.where(distance <= self.radius, 1.0 - distance, 0.0) if self.sparse else -distance

    def describe(self, task: Float[Array, "2"]) -> Float[Array, "2"]:
        """The goal."""
        return task

    def render(self, task: Float[Array, "2"], state: PointState) -> Scene:
        """The semicircle, where on it reward is paid, and the point."""
        return _plane(arc(0.0, np.pi), task, self.radius, state, 1.25)


def on_circle(key: PRNGKey, low: float, high: float) -> Float[Array, "2"]:
    """A point of the unit circle at an angle between `low` and `high`."""
    angle = jax.random.uniform(key, minval=low, maxval=high)
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def arc(low: float, high: float) -> Path:
    """The unit circle between two angles, to draw."""
    angle = np.linspace(low, high, 100)
    return Path(np.stack([np.cos(angle), np.sin(angle)], -1), "wall")


def _plane(goals: Path, goal: Float[Array, "2"], reach: float, state: PointState, half: float) -> Scene:
    """Where goals can be, the goal with what is near it, and the point; up to `half` from the origin on each axis."""
    x, y = (float(number) for number in state.position)
    discs = Disc(float(goal[0]), float(goal[1]), reach, "hidden"), Disc(x, y, 0.03 * half, "agent")
    return Scene((-half, -half), (half, half), (goals, *discs))
