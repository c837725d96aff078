"""Training runs of the library as the benchmarks time them: through `run_chunk`, compiled, in steady state."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.env import Environment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import TrainState, init_states, run_chunk
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.cartpole import CartPole
from adaptax.envs.point import PointNavigation
from adaptax.learners.dqn import DQN
from adaptax.learners.maml import MAML
from adaptax.learners.rl2 import RL2
from adaptax.measure import agent_bytes
from adaptax.runs.memory import needs

META_STEPS = 10_000  # for the learning-rate schedule only: no timed run comes near its end


def rl2(**fields) -> tuple[RL2, BernoulliBandit]:
    """RL2 with its defaults (GRU of 64, 4 epochs) on ten pulls of five arms."""
    env = BernoulliBandit(arms=5, pulls=10)
    return RL2(**fields).bind(env.spec(), META_STEPS), env


def maml(**fields) -> tuple[MAML, PointNavigation]:
    """Second-order MAML, one inner step: 40 tasks, 20 copies, 100 steps."""
    env = PointNavigation(horizon=100)
    fields = {"tasks": 40, "copies": 20, "inner_steps": 1, "hidden": 64} | fields
    return MAML(**fields).bind(env.spec(), META_STEPS), env


def dqn(**fields) -> tuple[DQN, CartPole]:
    """Deep Q-learning in 256 lives on the cart-pole: 64-64, a batch of 32 every four steps."""
    env = CartPole()
    fields = {"tasks": 256, "phases": 1, "steps": 400, "warm_up": 0} | fields
    return DQN(**fields).bind(env.spec(), META_STEPS), env


def env_steps(learner: Learner) -> int:
    """Environment steps of one meta-step."""
    return learner.tasks * learner.schedule().length


def memory(learner: Learner, env: Environment) -> dict[str, int]:
    """Bytes of all agents of a meta-step (with their replays), and of what the compiled program takes for it in all."""
    learners = many(learner, 1)
    states = init_states(learners, env, jax.random.split(jax.random.key(0), 1))
    one = agent_bytes(learner, jax.tree.map(lambda x: x[0], states.meta), learner.schedule().copies)
    return {"agents_bytes": learner.tasks * one, "program_bytes": sum(needs((learners, env, None), states).values())}


def many(learner: Learner, seeds: int) -> Learner:
    """The learner as `run_chunk` wants it, with a leading axis of seeds."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (seeds, *x.shape)) if eqx.is_array(x) else x, traced(learner))


def chunk_runner(learner: Learner, env: Environment, meta_steps: int, seeds: int = 1) -> Callable[[], dict]:
    """A function that trains on by `meta_steps`, waits, and returns the metrics of every seed."""
    learners = many(learner, seeds)
    state: list[TrainState] = [init_states(learners, env, jax.random.split(jax.random.key(0), seeds))]

    def run() -> dict:
        count = jnp.asarray(meta_steps, jnp.int32)  # a new one each time: run_chunk consumes it
        state[0], metrics = run_chunk((learners, env, None), state[0], count)
        return {name: x[:, :meta_steps].mean(1) for name, x in jax.block_until_ready(metrics).items()}

    return run
