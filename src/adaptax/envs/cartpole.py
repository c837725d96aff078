"""Cart-pole with hidden physics: the task is the pole, the masses, gravity and the motor."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, Sampler, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.physics import Spread, direction, doublings, factors, factors_outside, leaning, physics_problems
from adaptax.fields import Count, Fraction, Positive
from adaptax.ops.scene import Label, Path, Rectangle, Scene
from adaptax.ops.spaces import Box, Discrete

# Gymnasium's CartPole-v1.
SECONDS = 0.02  # of one step
MAX_POSITION = 2.4  # metres
MAX_ANGLE = 12 * 2 * math.pi / 360  # radians
START = 0.05  # entries of the first state are uniform up to this


class CartPolePhysics(NamedTuple):
    """A task: the independent parameters only; `step` derives the others."""

    length: Float[Array, ""] | float  # half the pole's length, m
    cart_mass: Float[Array, ""] | float  # kg
    pole_mass: Float[Array, ""] | float  # kg
    gravity: Float[Array, ""] | float  # m/s^2
    force: Float[Array, ""] | float  # of action 1, N; negative where the motor is reversed


STANDARD = CartPolePhysics(length=0.5, cart_mass=1.0, pole_mass=0.1, gravity=9.8, force=10.0)


class CartPoleState(NamedTuple):
    """Cart and pole, and steps taken."""

    position: Float[Array, ""]  # m
    velocity: Float[Array, ""]  # m/s
    angle: Float[Array, ""]  # rad, 0 is upright
    angular_velocity: Float[Array, ""]  # rad/s
    time: Int[Array, ""]


class CartPole(Environment):
    r"""Balance a pole on a cart whose physics, and even the direction of the motor, are unknown.

    With total mass $M = m_c + m_p$, half length $l$, force $F$ (action 1 pushes with $F$, action 0 with $-F$),

    $$u = (F + m_p l \dot\theta^2 \sin\theta) / M, \quad
    \ddot\theta = \frac{g \sin\theta - u \cos\theta}{l (4/3 - m_p \cos^2\theta / M)}, \quad
    \ddot x = u - m_p l \ddot\theta \cos\theta / M,$$

    integrated by explicit Euler steps of 0.02 s. Each step pays 1; an episode terminates when the cart leaves
    $\pm 2.4$ m or the pole leans by more than 12 degrees, and is truncated after `horizon` steps. The observation is
    $(x, \dot x, \theta, \dot\theta)$. For the same parameters it equals Gymnasium's CartPole-v1 step by step.

    The physics are drawn log-uniformly within a factor around the middle, and the motor is reversed in half of the
    tasks: linear feedback that balances one half topples the other. The pole is short, the motor is weak, and the pole
    leans at first, by 0.675 to 0.9 of the largest angle at which a push still wins against gravity, $\theta_c = |F| /
    (M g)$ (at most 12 degrees): every pole can be balanced, but a wrong push or two are fatal. Where there is time to
    find out, nothing need be known: feedback whose sign switches with the state balances whatever the direction
    (Drakunov, 1993, "Sliding mode control of the systems with uncertain direction of control vector"), and a policy
    without memory learns it: with Gymnasium's pole and motor, from upright (`pole=0.5`, `motor=10`, `lean=0`),
    `multi-task` stands all 200 steps without adapting.

    Known values: linear-quadratic feedback for the middle of the range, told the direction, stands all 200 steps; after
    one wrong push it stands 88, after two 9, so who does not know the direction, and is wrong in half of the
    tasks, cannot stand much more than 144 in a first episode. Without the direction the same feedback stands 102;
    random actions stand 9.

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); `ood` draws every factor outside the range
    of training, by up to its 1.25th power.

    Attributes:
        horizon: Longest episode, steps.
        tries: Episodes in a life.
        length_spread: Largest factor (and its inverse the smallest) on the pole's length; 1 leaves it as it is.
        cart_mass_spread: The same for the cart's mass.
        pole_mass_spread: The same for the pole's mass.
        gravity_spread: The same for gravity.
        force_spread: The same for the size of the force.
        reversed_motors: Fraction of the tasks in which action 1 pushes to the left.
        pole: Half the pole's length in the middle of its range, m; Gymnasium's is 0.5.
        motor: Force in the middle of its range, N; Gymnasium's is 10.
        lean: How far the pole leans at most when an episode begins, as a fraction of $\theta_c$, and at least three
            quarters of that; 0 begins as Gymnasium does, up to 0.05 rad.

    References:
        Barto, Sutton and Anderson, 1983, "Neuronlike adaptive elements that can solve difficult learning control
        problems"; Towers et al., 2024, "Gymnasium", arXiv:2407.17032, environment CartPole-v1.

    Differences from the paper:
        The physics vary from task to task; the motor is weaker and the pole leans at first; `horizon` is 200
        (CartPole-v0), not 500.
    """

    horizon: Count = 200
    tries: Count = 4
    length_spread: Spread = 1.5
    cart_mass_spread: Spread = 1.2
    pole_mass_spread: Spread = 2.0
    gravity_spread: Spread = 1.2
    force_spread: Spread = 1.5
    reversed_motors: Fraction = 0.5
    pole: Positive = 0.15
    motor: Positive = 2.0
    lean: Fraction = 0.9

    observation_space = property(lambda self: Box(-math.inf, math.inf, (4,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def middle(self) -> CartPolePhysics:
        """The middle of the range of the physics."""
        return STANDARD._replace(length=self.pole, force=self.motor)

    @property
    def tasks(self) -> TaskSplit:
        """Physics within the spreads; out of distribution outside them."""
        return TaskSplit.iid(self._sampler(factors), self._sampler(factors_outside))

    def _sampler(self, draw: Callable) -> Sampler:
        spreads = CartPolePhysics(
            self.length_spread, self.cart_mass_spread, self.pole_mass_spread, self.gravity_spread, self.force_spread
        )

        def sample(key: PRNGKey) -> CartPolePhysics:
            key_size, key_direction = jax.random.split(key)
            physics = CartPolePhysics(*(draw(key_size, spreads) * jnp.asarray(self.middle, float)))
            return physics._replace(force=physics.force * direction(key_direction, self.reversed_motors))

        return sample

    def task_problems(self, task: CartPolePhysics) -> list[str]:
        """Sizes are positive; the motor has a direction."""
        return physics_problems(task, signed="force")

    def reset(self, task: CartPolePhysics, key: PRNGKey) -> tuple[CartPoleState, Float[Array, "4"]]:
        """Near the middle and nearly at rest; the pole leans to either side."""
        numbers = jax.random.uniform(key, (5,), minval=-1.0)  # at once: what draws them takes long to compile
        start = START * numbers[:4]
        if self.lean:
            start = start.at[2].set(leaning(numbers[4], self.lean * caught(task)))
        return CartPoleState(*start, time=jnp.zeros((), jnp.int32)), start

    def step(
        self, task: CartPolePhysics, state: CartPoleState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[CartPoleState, Float[Array, "4"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pushes the cart for 0.02 s."""
        del key
        acceleration, angular_acceleration = _accelerations(
            task, state, jnp.where(action == 1, task.force, -task.force)
        )
        observation = jnp.stack(
            [
                state.position + SECONDS * state.velocity,
                state.velocity + SECONDS * acceleration,
                state.angle + SECONDS * state.angular_velocity,
                state.angular_velocity + SECONDS * angular_acceleration,
            ]
        )
        after = CartPoleState(*observation, time=state.time + 1)
        terminated = (jnp.abs(after.position) > MAX_POSITION) | (jnp.abs(after.angle) > MAX_ANGLE)
        return after, observation, jnp.ones(()), terminated, (after.time >= self.horizon) & ~terminated

    def render(self, task: CartPolePhysics, state: CartPoleState) -> Scene:
        """The cart and the pole; below, which way action 1 pushes it, which the agent is not told."""
        x, angle, length = float(state.position), float(state.angle), 2 * float(task.length)
        tip = [x + length * math.sin(angle), 0.2 + length * math.cos(angle)]
        pole = Path(np.array([[x, 0.2], tip]), "agent")
        arrow = Label(x, -0.25, "1 pushes right" if float(task.force) > 0 else "1 pushes left")
        track = Path(np.array([[-MAX_POSITION, 0.0], [MAX_POSITION, 0.0]]), "wall")
        shapes = (track, Rectangle(x - 0.25, 0.0, 0.5, 0.2, "agent"), pole, arrow)
        return Scene((-MAX_POSITION, -0.5), (MAX_POSITION, 2.0), shapes)

    def describe(self, task: CartPolePhysics) -> Float[Array, "6"]:
        """Doublings of the middle of the range, and the direction of the motor."""
        return jnp.append(doublings(jnp.stack(task), self.middle), jnp.sign(task.force))


def caught(task: CartPolePhysics) -> Float[Array, ""]:
    """The largest angle (rad) from which a push still wins against gravity, or that is not an end."""
    weight = (task.cart_mass + task.pole_mass) * task.gravity
    return jnp.minimum(jnp.abs(jnp.asarray(task.force)) / weight, MAX_ANGLE)


def _accelerations(
    task: CartPolePhysics, state: CartPoleState, force: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of the cart (m/s^2) and of the pole (rad/s^2)."""
    sin, cos = jnp.sin(state.angle), jnp.cos(state.angle)
    total_mass = task.cart_mass + task.pole_mass
    moment = task.pole_mass * task.length
    push = (force + moment * state.angular_velocity**2 * sin) / total_mass
    inertia = task.length * (4.0 / 3.0 - task.pole_mass * cos**2 / total_mass)
    angular_acceleration = (task.gravity * sin - cos * push) / inertia
    return push - moment * angular_acceleration * cos / total_mass, angular_acceleration
