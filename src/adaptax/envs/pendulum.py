"""Pendulum with hidden physics: the task is the pendulum, gravity and the motor."""

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
from adaptax.fields import Count, Fraction
from adaptax.ops.scene import Disc, Label, Path, Scene
from adaptax.ops.spaces import Box

# Gymnasium's Pendulum-v1.
SECONDS = 0.05  # of one step
MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = 2.0  # N m, of the largest action with a gain of 1
START = (math.pi, 1.0)  # first angle and angular velocity are uniform up to these


class PendulumPhysics(NamedTuple):
    """A task: the independent parameters only."""

    length: Float[Array, ""] | float  # m
    mass: Float[Array, ""] | float  # kg
    gravity: Float[Array, ""] | float  # m/s^2
    gain: Float[Array, ""] | float  # torque for each unit of action; negative where the motor is reversed


STANDARD = PendulumPhysics(length=1.0, mass=1.0, gravity=10.0, gain=1.0)


class PendulumState(NamedTuple):
    """The pendulum, and steps taken."""

    angle: Float[Array, ""]  # rad, 0 is upright; it is not wrapped
    angular_velocity: Float[Array, ""]  # rad/s
    time: Int[Array, ""]


class Pendulum(Environment):
    r"""Hold a pendulum up, with unknown physics and a motor of unknown strength and direction.

    The torque is $u = k \, \mathrm{clip}(a, \pm 2)$ with the task's gain $k$, and

    $$\ddot\theta = \frac{3 g}{2 l} \sin\theta + \frac{3}{m l^2} u, \quad
    r = -(\bar\theta^2 + 0.1 \dot\theta^2 + 0.001 u^2),$$

    with $\bar\theta$ the angle before the step in $[-\pi, \pi)$, steps of 0.05 s (the velocity first, then the angle
    by the new velocity) and velocities clipped to 8 rad/s. Nothing terminates an episode; it is truncated after
    `horizon` steps. The observation is $(\cos\theta, \sin\theta, \dot\theta)$. For the same parameters it equals
    Gymnasium's Pendulum-v1 step by step, where a gain $k$ means `max_torque` $= 2 |k|$ and the action $k a$.

    The physics are drawn log-uniformly within a factor around the standard, and the motor is reversed in half of the
    tasks. The pendulum is at rest at first and leans, by 0.675 to 0.9 of the largest angle at which the motor can hold
    it, $\sin\theta_c = 4 |k| / (m g l)$: every pendulum can be held up, but after one wrong push it is too low,
    and must be swung up in what is left of three seconds. Where there is time to find out, nothing need be known: with
    `lean=0` and `horizon=200` a policy without memory sees by its velocity what its torque did, and swings up many of
    both.

    Known values: feedback that knows the physics (it makes the angle obey $\ddot\theta = -16 \theta - 8 \dot\theta$
    and cannot swing up) returns -1.4; with one step's delay -62, with the first push wrong -179. Designed for the
    standard physics it returns -1.9 if it is told the direction and -227 if not; no torque returns -250, random torque
    -269.

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); `ood` draws every factor outside the range
    of training, by up to its 1.25th power.

    Attributes:
        horizon: Steps of an episode.
        tries: Episodes in a life.
        length_spread: Largest factor (and its inverse the smallest) on the length; 1 leaves it as it is.
        mass_spread: The same for the mass.
        gravity_spread: The same for gravity.
        gain_spread: The same for the strength of the motor.
        reversed_motors: Fraction of the tasks in which a positive action turns backwards.
        lean: How far the pendulum leans at most when an episode begins, as a fraction of $\theta_c$, and at least three
            quarters of that; 0 begins as Gymnasium does, at any angle, with up to 1 rad/s.

    References:
        Towers et al., 2024, "Gymnasium", arXiv:2407.17032, environment Pendulum-v1.

    Differences from the paper:
        The physics vary from task to task; the pendulum begins near the top; `horizon` is 60, not 200.
    """

    horizon: Count = 60
    tries: Count = 2
    length_spread: Spread = 1.3
    mass_spread: Spread = 1.3
    gravity_spread: Spread = 1.3
    gain_spread: Spread = 1.3
    reversed_motors: Fraction = 0.5
    lean: Fraction = 0.9

    observation_space = property(lambda self: Box((-1.0, -1.0, -MAX_SPEED), (1.0, 1.0, MAX_SPEED), (3,)))
    action_space = property(lambda self: Box(-MAX_TORQUE, MAX_TORQUE, (1,)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Physics within the spreads; out of distribution outside them."""
        return TaskSplit.iid(self._sampler(factors), self._sampler(factors_outside))

    def _sampler(self, draw: Callable) -> Sampler:
        spreads = PendulumPhysics(self.length_spread, self.mass_spread, self.gravity_spread, self.gain_spread)

        def sample(key: PRNGKey) -> PendulumPhysics:
            key_size, key_direction = jax.random.split(key)
            physics = PendulumPhysics(*(draw(key_size, spreads) * jnp.asarray(STANDARD, float)))
            return physics._replace(gain=physics.gain * direction(key_direction, self.reversed_motors))

        return sample

    def task_problems(self, task: PendulumPhysics) -> list[str]:
        """Sizes are positive; the motor has a direction."""
        return physics_problems(task, signed="gain")

    def reset(self, task: PendulumPhysics, key: PRNGKey) -> tuple[PendulumState, Float[Array, "3"]]:
        """Leaning to either side and at rest; with `lean=0` any angle, slow."""
        numbers = jax.random.uniform(key, (2,), minval=-1.0)
        angle, angular_velocity = numbers * jnp.asarray(START, float)
        if self.lean:
            angle, angular_velocity = leaning(numbers[0], self.lean * held(task)), jnp.zeros(())
        state = PendulumState(angle, angular_velocity, jnp.zeros((), jnp.int32))
        return state, _observe(state)

    def step(
        self, task: PendulumPhysics, state: PendulumState, action: Float[Array, "1"], key: PRNGKey
    ) -> tuple[PendulumState, Float[Array, "3"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Turns the motor for 0.05 s."""
        del key
        torque = task.gain * jnp.clip(action[0], -MAX_TORQUE, MAX_TORQUE)
        wrapped = (state.angle + math.pi) % (2 * math.pi) - math.pi
        cost = wrapped**2 + 0.1 * state.angular_velocity**2 + 0.001 * torque**2
        weight = 3.0 * task.gravity / (2.0 * task.length) * jnp.sin(state.angle)
        acceleration = weight + 3.0 / (task.mass * task.length**2) * torque
        velocity = jnp.clip(state.angular_velocity + acceleration * SECONDS, -MAX_SPEED, MAX_SPEED)
        after = PendulumState(state.angle + velocity * SECONDS, velocity, state.time + 1)
        return after, _observe(after), -cost, jnp.array(False), after.time >= self.horizon

    def render(self, task: PendulumPhysics, state: PendulumState) -> Scene:
        """The pendulum; below, which way a positive action turns it, which the agent is not told."""
        angle, length = float(state.angle), float(task.length)
        tip = (-length * math.sin(angle), length * math.cos(angle))
        rod = Path(np.array([[0.0, 0.0], tip]), "agent")
        arrow = Label(0.0, -1.3, "+ turns right" if float(task.gain) < 0 else "+ turns left")
        return Scene((-1.5, -1.5), (1.5, 1.5), (rod, Disc(*tip, 0.1 * float(task.mass), "agent"), arrow))

    def describe(self, task: PendulumPhysics) -> Float[Array, "5"]:
        """Doublings of the standard parameters, and the direction of the motor."""
        return jnp.append(doublings(jnp.stack(task), STANDARD), jnp.sign(task.gain))


def held(task: PendulumPhysics) -> Float[Array, ""]:
    """The largest angle (rad) at which the motor holds the pendulum still."""
    weight = task.mass * task.gravity * task.length / 2.0
    return jnp.arcsin(jnp.minimum(MAX_TORQUE * jnp.abs(jnp.asarray(task.gain)) / weight, 1.0))


def _observe(state: PendulumState) -> Float[Array, "3"]:
    """Cosine and sine of the angle, and angular velocity."""
    return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.angular_velocity])
