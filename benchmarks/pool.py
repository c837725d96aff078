"""Who of a selector's pool can do what: each member alone, on cart-poles that are pushed either way.

    python benchmarks/pool.py

An action pushes one way in one half of the tasks and the other way in the other, and no network balances both. Writes
`benchmarks/results/pool.json`: what each member earns in a greedy episode in either half, and the best for each task.
"""

import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.core.env import Environment
from adaptax.core.types import PRNGKey, PyTree, Task
from adaptax.learners.selector import Selector
from adaptax.measure import draw_tasks
from adaptax.ops.returns import first_episode_return
from adaptax.runs import Run, elsewhere
from learning import CACHE, Pair, trained, write

SEEDS, TASKS = 3, 200


def earned(run: Run, env: Environment, tasks: Task, keys: PRNGKey) -> np.ndarray:
    """Returns `[N, n]` of each member in each task."""
    (learner,), _, metas = elsewhere(run, None, None, "best")
    assert isinstance(learner, Selector)
    pool = jax.tree.map(lambda x: x[0], metas).params["pool"]

    def episode(params: PyTree, task: Task, key: PRNGKey) -> jax.Array:
        def step(now: tuple, key: PRNGKey) -> tuple[tuple, tuple]:
            state, observation = now
            values = learner.network.apply(params, env.observation_space.encode(observation))
            state, observation, reward, terminated, _ = env.step(task, state, jnp.argmax(values), key)
            return (state, observation), (reward, terminated)

        reward, over = jax.lax.scan(step, env.reset(task, key), jax.random.split(key, env.episode_steps))[1]
        return first_episode_return(reward[:, None], over[:, None])

    each = jax.vmap(jax.vmap(episode, (0, None, None)), (None, 0, 0))
    return np.asarray(jax.jit(each)(pool, tasks, keys))


def main() -> None:
    """Judges the members of pools of two sizes, three seeds each."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env = ax.make("cartpole")
    assert isinstance(env, Environment)
    tasks, keys = draw_tasks(env, "test", TASKS, 1)
    forward, pools = np.asarray(tasks.force) > 0, {}
    for name, changed in (("selector", None), ("selector, a pool of two", {"members": 2})):
        runs = [trained(Pair("selector", "cartpole", {}, "", changed=changed), seed)[0] for seed in range(SEEDS)]
        each = [earned(run, env, tasks, keys) for run in runs]
        pools[name] = [
            {
                "forward": [round(float(member), 1) for member in x[forward].mean(0)],
                "backward": [round(float(member), 1) for member in x[~forward].mean(0)],
                "best": round(float(x.max(1).mean()), 1),
            }
            for x in each
        ]
    print(pools, flush=True)
    write("pool", {"environment": "cartpole", "tasks": TASKS, "pools": pools}, "", "pool")


if __name__ == "__main__":
    main()
