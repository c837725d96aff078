"""Mountain treasure: it costs to climb where one is told what to look for."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.point import PointState, arc, on_circle
from adaptax.fields import Count, NonNegative, Positive
from adaptax.ops.scene import Disc, Scene
from adaptax.ops.spaces import Box

START = (0.0, -1.0)
STEP = 0.1  # longest move on each axis
EDGE = 1.5  # nobody gets farther on either axis
FOOT = 0.5  # radius of the mountain
# From how near the top the treasure is seen: 0.1, less a hair so that nine steps up from the start do not reach it, as
# in exact arithmetic; float32 rounds them up.
TOP = 0.1 - 1e-5
REACH = 0.1  # how near the treasure is paid
OUTSIDE = (1.15, 1.4)  # out of distribution, how far from the top the treasure is


class MountainTreasure(Environment):
    r"""A treasure somewhere on a circle around a mountain, from whose top one sees it.

    The agent starts at (0, -1) and moves by a tenth of its action, each coordinate clipped to $\pm 1$, inside the
    square $[-1.5, 1.5]^2$. The mountain's top is the origin and its radius 0.5; the treasure g lies on the unit circle.
    With $\rho$ the distance from the top after a step,

    $$r = \begin{cases} h\,(\rho - 0.5) - c & \rho \le 0.5 \\ b & \lVert x - g \rVert \le 0.1 \\
    -c \max(1, \rho) & \text{otherwise} \end{cases}$$

    with h `mountain`, c `cost` and b `treasure`. The observation is the position, followed by the treasure's while
    $\rho < 0.1$ and by two zeros elsewhere. Nothing ends an episode but its `horizon`.

    What pays is to climb: it costs more at first than walking round, and saves the search. According to the paper
    RL2 does not find that out.

    Splits: `train`, `validation` and `test` draw the treasure uniformly from the circle, afresh (kind `iid`); `ood`
    draws it 1.15 to 1.4 away from the top, where a walk around the circle does not find it, and one who climbs sees it.

    Known values (`adaptax.references`): climbing straight and then going straight to the treasure returns 736.9 on
    average, walking round the unit circle by 0.1 a step 551.0, walking round at a distance of 0.93 as fast as moves
    allow 613.0, going straight to a treasure that is known 851.8.

    Attributes:
        horizon: Steps of an episode.
        tries: Episodes in a life.
        treasure: Reward of a step that ends at the treasure.
        cost: Cost of any other.
        mountain: Its height: how much more a step costs at the top than at the foot, in units of the radius.

    References:
        Zintgraf et al., 2021, "Exploration in approximate hyper-state space for meta reinforcement learning",
        arXiv:2010.01062; numbers from its code's `TreasureHunt-v0`.

    Differences from the paper:
        None known; the geometry and the rewards are those of its code, but for the hair by which the top is smaller.
    """

    horizon: Count = 100
    tries: Count = 1
    treasure: Positive = 10.0
    cost: NonNegative = 5.0
    mountain: NonNegative = 1.0

    observation_space = property(lambda self: Box(-EDGE, EDGE, (4,)))
    action_space = property(lambda self: Box(-1.0, 1.0, (2,)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Treasures on the unit circle; out of distribution outside it."""

        def outside(key: PRNGKey) -> Float[Array, "2"]:
            key_angle, key_radius = jax.random.split(key)
            radius = jax.random.uniform(key_radius, minval=OUTSIDE[0], maxval=OUTSIDE[1])
            return radius * on_circle(key_angle, 0.0, 2 * np.pi)

        return TaskSplit.iid(lambda key: on_circle(key, 0.0, 2 * np.pi), outside)

    def task_problems(self, task: Float[np.ndarray, "2"]) -> list[str]:
        """On the mountain and beyond the edge a treasure would never pay."""
        there = np.linalg.norm(task) > FOOT and np.all(np.abs(task) <= EDGE)
        return [] if there else [f"the treasure must lie off the mountain and within {EDGE} of its top on each axis"]

    def reset(self, task: Float[Array, "2"], key: PRNGKey) -> tuple[PointState, Float[Array, "4"]]:
        """Back to the start."""
        del key
        state = PointState.at(START)
        return state, self._seen(task, state)

    def step(
        self, task: Float[Array, "2"], state: PointState, action: Float[Array, "2"], key: PRNGKey
    ) -> tuple[PointState, Float[Array, "4"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves, and pays for the place."""
        del key
        state = state.moved(STEP * action, STEP)
        state = state._replace(position=jnp.clip(state.position, -EDGE, EDGE))
        radius = jnp.linalg.norm(state.position)
        found = jnp.linalg.norm(state.position - task) <= REACH
        off = jnp.where(found, self.treasure, -self.cost * jnp.maximum(1.0, radius))
        reward = jnp.where(radius <= FOOT, self.mountain * (radius - FOOT) - self.cost, off)
        return state, self._seen(task, state), reward, jnp.array(False), state.time >= self.horizon

    def describe(self, task: Float[Array, "2"]) -> Float[Array, "2"]:
        """Where the treasure is."""
        return task

    def render(self, task: Float[Array, "2"], state: PointState) -> Scene:
        """The mountain and its top, the circle, the treasure and the agent."""
        mountain, top = Disc(0.0, 0.0, FOOT, "hazard"), Disc(0.0, 0.0, TOP, "key")
        treasure = Disc(float(task[0]), float(task[1]), REACH, "hidden")
        agent = Disc(float(state.position[0]), float(state.position[1]), 0.05, "agent")
        return Scene((-EDGE, -EDGE), (EDGE, EDGE), (arc(0.0, 2 * np.pi), mountain, top, treasure, agent))

    def _seen(self, task: Float[Array, "2"], state: PointState) -> Float[Array, "4"]:
        """The position, and from the top the treasure's."""
        told = jnp.where(jnp.linalg.norm(state.position) < TOP, task, 0.0)
        return jnp.concatenate([state.position, told])
