"""What a chain of warm starts forgets: its start, judged in the tasks that it has come by.

    python benchmarks/forgetting.py

Chains learn one cart-pole after the other, each task from what the one before it left (`rate` 1) or from an average
over tasks (the preset's `rate`). In the end the network that the next task would begin with is judged, by a greedy
episode and without any update, in the last task, in earlier ones, and in tasks that no chain has seen. Half of the
tasks push the other way. Writes `benchmarks/results/forgetting.json`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.config import replaced
from adaptax.core.env import Environment
from adaptax.core.evaluate import probe
from adaptax.core.learner import Learner, traced
from adaptax.core.lifetime import born
from adaptax.core.trainer import TrainState, draw, initial_state, meta_step
from adaptax.core.types import PRNGKey, PyTree, Task
from adaptax.measure import draw_tasks
from adaptax.ops.statistics import bootstrap_mean
from learning import CACHE, write

CHAINS, LENGTH = 64, 100
AGO = [1, 2, 3, 5, 10, 20, 50]


def chain(learner: Learner, env: Environment, key: PRNGKey) -> TrainState:
    """The state of a training after so many tasks."""
    step = lambda _, state: meta_step(learner, env, state)[0]
    return jax.lax.fori_loop(0, LENGTH, step, initial_state(learner, env, key))


def come_by(learner: Learner, env: Environment, state: TrainState, ago: jax.Array) -> Task:
    """The task of the chain so many meta-steps ago."""
    key_draw, _ = jax.random.split(jax.random.fold_in(state.key, state.step - ago))  # as `trainer.lived` draws it
    return jax.tree.map(lambda x: x[0], draw(learner, env, key_draw)[0])


def judged(learner: Learner, env: Environment, meta: PyTree, task: Task, key: PRNGKey) -> jax.Array:
    """The return of a greedy episode at birth."""
    return probe(learner, env, meta, born(learner, env, meta, task, key, 1), learner.schedule(), None)


def forgetting(learner: Learner, env: Environment) -> dict[str, Any]:
    """What one kind of chain still knows."""

    def one(key: PRNGKey, unseen: Task) -> jax.Array:
        state = chain(learner, env, key)
        earlier = jax.vmap(partial(come_by, learner, env, state))(jnp.array(AGO))
        tasks = jax.tree.map(lambda old, new: jnp.concatenate([old, new[None]]), earlier, unseen)
        keys = jax.random.split(key, len(AGO) + 1)
        return jax.vmap(partial(judged, learner, env, state.meta))(tasks, keys)

    unseen = draw_tasks(env, "test", CHAINS, 1)[0]
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), CHAINS), unseen))
    low, high = bootstrap_mean(found[None])
    each = zip([*AGO, "unseen"], found.mean(0), low, high, strict=True)
    return {
        str(ago): {"mean": round(float(x), 1), "ci95": [round(float(a), 1), round(float(b), 1)]}
        for ago, x, a, b in each
    }


def main() -> None:
    """Two kinds of chain."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env = ax.make("cartpole")
    preset, _ = ax.preset("warm-start", "cartpole")
    found = {}
    for rate in (1.0, preset.rate):
        learner = traced(replaced(preset, {"rate": rate}, "learner").bind(env.spec(), LENGTH))
        found[str(rate)] = forgetting(learner, env)
        print(rate, found[str(rate)], flush=True)
    write("forgetting", {"chains": CHAINS, "length": LENGTH, "rates": found}, "", "forgetting")


if __name__ == "__main__":
    main()
