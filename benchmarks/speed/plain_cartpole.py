"""Deep Q-learning on the one cart-pole of Gymnasium: what `races.cleanrl` times and judges of ours.

What CleanRL's `dqn.py` and ours share: two layers of 120 and 84 units, Adam at 2.5e-4, a discount of 0.99, a batch of
128 every ten steps from step 10,000 on, 10,000 steps kept, a target copied every 500 steps, no double Q-learning, and
random actions that fall from all to 5 % over the first half.

What differs: first weights are orthogonal here and PyTorch's there; our physics are float32. The loss is the squared
error in both: `huber` is above all errors. With Huber's loss as it is by default, nothing is learned.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.adapters.gymnasium import from_gymnasium
from adaptax.core.env import Environment
from adaptax.core.evaluate import Lived, examine_one, probe
from adaptax.core.host import host_draw, host_lifetimes
from adaptax.core.learner import traced
from adaptax.core.lifetime import Life
from adaptax.core.types import PRNGKeys, PyTree
from adaptax.envs.cartpole import CartPole
from adaptax.learners.dqn import DQN
from adaptax.nn.net import PureNet, mlp
from speed import ours

UPDATE_EVERY, TARGET_EVERY = 10, 500
SQUARED = 1e9  # no error is as large
PARTS = 10  # phases of a training
WARM_UP = 10_000


class TheirDQN(DQN):
    """Ours, with CleanRL's sizes of layers."""

    @property
    def network(self) -> PureNet:
        """Two rectified layers of 120 and 84 units."""
        return mlp((self.bound.observation.size, 120, 84, self.bound.action.size), jax.nn.relu, last_gain=1.0)


def cartpole() -> CartPole:
    """Gymnasium's CartPole-v1, the one task of the family."""
    alike: dict[str, Any] = {f"{what}_spread": 1.0 for what in ("length", "cart_mass", "pole_mass", "gravity", "force")}
    return CartPole(horizon=500, reversed_motors=0.0, pole=0.5, motor=10.0, lean=0.0, **alike)


def dqn(env, length: int, **fields: Any) -> TheirDQN:
    """CleanRL's defaults for a training of so many steps."""
    shared: dict[str, Any] = {"inner_lr": 2.5e-4, "discount": 0.99, "batch": 128, "replay": 10_000, "warm_up": WARM_UP}
    shared |= {
        "update_every": UPDATE_EVERY,
        "target_every": TARGET_EVERY // UPDATE_EVERY,
        "double": False,
        "huber": SQUARED,
    }
    shared |= {"epsilon": 1.0, "last_epsilon": 0.05, "epsilon_steps": 0.5 * length}
    lengths: dict[str, Any] = {"tasks": 1, "phases": PARTS, "steps": length // PARTS}
    return TheirDQN(**(shared | lengths | fields)).bind(env.spec())


def compiled(lives: int, steps: int) -> Callable[[], dict]:
    """A function that lives so many lives side by side, each with updates from its first step on."""
    env = cartpole()
    learner = dqn(env, steps, tasks=lives, phases=1, steps=steps, warm_up=0)
    return ours.chunk_runner(learner, env, 1)


def on_host(steps: int) -> Callable[[], PyTree]:
    """The same for one life in Gymnasium's own environment."""
    env = from_gymnasium("CartPole-v1")
    learner = traced(dqn(env, steps, phases=1, steps=steps, warm_up=0))
    meta, keys = learner.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 1)
    tasks, schedule = host_draw(env, "train", keys), learner.schedule()
    return lambda: jax.block_until_ready(host_lifetimes(learner, env, meta, tasks, keys, schedule, explore=True))


def reached(steps: int, lives: int, episodes: int, **fields) -> dict[str, list[float]]:
    """What whole trainings side by side reach: one number a life."""
    env = cartpole()
    learner = traced(dqn(env, steps, **fields))
    meta, keys = learner.init(jax.random.key(0)), jax.random.split(jax.random.key(1), lives)
    lived, greedy = jax.tree.map(np.asarray, _reached(learner, env, meta, keys, episodes))
    return {
        "last_tenth": [last_tenth(*episodes_of(*life)) for life in zip(lived.score, lived.over, strict=True)],
        "greedy": greedy.mean(1).tolist(),
    }


@eqx.filter_jit
def _reached(learner: DQN, env: Environment, meta: PyTree, keys: PRNGKeys, episodes: int) -> tuple[Lived, jax.Array]:
    schedule = learner.schedule()

    def greedy(life: Life, index: jax.Array) -> jax.Array:
        again = life._replace(key=jax.random.fold_in(life.key, index))
        return jnp.mean(probe(learner, env, meta, again, schedule, None))

    def train(key: jax.Array) -> tuple[Lived, jax.Array]:
        lived = examine_one(learner, env, meta, env.tasks.train(key), key, schedule, None)
        found = jax.lax.map(lambda i: greedy(lived.life, i), jnp.arange(episodes, dtype=jnp.int32))
        return lived._replace(life=None), found

    return jax.vmap(train)(keys)


def episodes_of(score: np.ndarray, over: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Of one life `[K, T, 1]`: the steps at which its episodes ended, their returns, and its length."""
    ended = np.flatnonzero(over)
    return ended, np.diff(np.cumsum(score.ravel())[ended], prepend=0.0), over.size


def last_tenth(ended: np.ndarray, returns: np.ndarray, steps: int) -> float:
    """Mean return of the episodes that ended in the last tenth of a training."""
    return float(np.mean(np.asarray(returns)[np.asarray(ended) >= 0.9 * steps]))
