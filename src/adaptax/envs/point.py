"""Point navigation in the plane: the task is a goal that the agent cannot see."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.fields import Count, Positive
from adaptax.ops.spaces import Box

REACHED = 0.01  # an episode ends when both coordinates are this near (Finn's `point_env_randgoal.py`)


class PointState(NamedTuple):
    """Where the point is, and steps taken."""

    position: Float[Array, "2"]
    time: Int[Array, ""]


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
        return PointState(jnp.zeros(2), jnp.zeros((), jnp.int32)), jnp.zeros(2)

    def step(
        self, task: Float[Array, "2"], state: PointState, action: Float[Array, "2"], key: PRNGKey
    ) -> tuple[PointState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves, and pays the distance that is left."""
        del key
        position = state.position + jnp.clip(action, -self.speed, self.speed)
        time = state.time + 1
        away = position - task
        terminated = jnp.all(jnp.abs(away) < REACHED)
        reward = -jnp.linalg.norm(away)
        return PointState(position, time), position, reward, terminated, (time >= self.horizon) & ~terminated

    def describe(self, task: Float[Array, "2"]) -> Float[Array, "2"]:
        """The goal, in units of the square."""
        return task / self.size
