"""Who of a selector's pool can do what, and what says so: each member alone, on cart-poles that are pushed either way.

    python benchmarks/pool.py

An action pushes one way in one half of the tasks and the other way in the other. Writes `benchmarks/results/pool.json`:
what each member earns in a greedy episode in either half, and the best for each task.
And of the best member of either half, what it is charged there and in the other half, by the error of returns and by
the TD error, when itself acts and when the other does: a meta-model that predicts charges can be no better than these.
Of mazes, where tasks are not of a few kinds: what the best member for each earns, and in how many one finds the goal.
"""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.core.env import Environment
from adaptax.core.types import PRNGKey, PyTree, Task
from adaptax.inner.pools import Loss, QNetworks
from adaptax.inner.replay import Experience
from adaptax.learners.selector import Selector
from adaptax.measure import draw_tasks
from adaptax.ops.returns import first_episode_return, in_first_episode
from adaptax.runs import Run, elsewhere
from learning import CACHE, Pair, trained, write
from starts import ARENAS, ENTRIES, SEEDS, TASKS


def lived(run: Run, env: Environment, tasks: Task, keys: PRNGKey) -> tuple[np.ndarray, dict[Loss, np.ndarray]]:
    """Returns `[N, n]` of each member in each task, and charges `[N, n, n]` of each when another acts."""
    (learner,), _, metas = elsewhere(run, None, None, "best")
    assert isinstance(learner, Selector)
    models, pool = learner.models, jax.tree.map(lambda x: x[0], metas).params["pool"]
    assert isinstance(models, QNetworks)

    def episode(params: PyTree, task: Task, key: PRNGKey) -> tuple[jax.Array, dict[Loss, jax.Array]]:
        def step(now: tuple, key: PRNGKey) -> tuple[tuple, Experience]:
            state, seen = now
            action = jnp.argmax(learner.network.apply(params, env.observation_space.encode(seen))).astype(jnp.int32)
            state, following, reward, terminated, _ = env.step(task, state, action, key)
            return (state, following), Experience(seen, action, reward, following, terminated, terminated)

        life = jax.lax.scan(step, env.reset(task, key), jax.random.split(key, env.episode_steps))[1]
        life = jax.tree.map(lambda x: x[:, None], life)  # one copy
        first = in_first_episode(life.over)

        def charge(loss: Loss) -> jax.Array:
            charged = lambda phi: models._replace(loss=loss).judged(phi, phi, life, jnp.ones_like(life.reward))[0]
            return jax.vmap(lambda phi: jnp.mean(charged(phi), where=first))(pool)

        return first_episode_return(life.reward, life.over), {loss: charge(loss) for loss in get_args(Loss)}

    each = jax.vmap(jax.vmap(episode, (0, None, None)), (None, 0, 0))
    return jax.tree.map(np.asarray, jax.jit(each)(pool, tasks, keys))


def judged(run: Run, env: Environment, tasks: Task, keys: PRNGKey) -> dict[str, object]:
    """What is kept of one pool."""
    earned, charges = lived(run, env, tasks, keys)
    forward = np.asarray(tasks.force) > 0
    halves = {"forward": forward, "backward": ~forward}
    means = {name: earned[half].mean(0) for name, half in halves.items()}
    kept: dict[str, object] = {name: [round(float(member), 1) for member in mean] for name, mean in means.items()}
    owners = [int(mean.argmax()) for mean in means.values()]
    return kept | {
        "best": round(float(earned.max(1).mean()), 1),
        # rows: the best member of the half acts, that of the other half; columns: the same are charged
        "charged": {
            loss: {
                name: charge[half].mean(0, float)[np.ix_(pair, pair)].round(1).tolist()
                for (name, half), pair in zip(halves.items(), (owners, owners[::-1]), strict=True)
            }
            for loss, charge in charges.items()
        },
    }


def held(run: Run, env: Environment) -> dict[str, float]:
    """What a pool holds of mazes: the return of the best member for each, and the share in which one finds the goal."""
    best = lived(run, env, *draw_tasks(env, "test", TASKS, 1))[0].max(1)
    return {"best": round(float(best.mean()), 3), "solved": round(float((best > 0).mean()), 3)}


def main() -> None:
    """Judges the members of pools that were trained by either charge, three seeds each."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env = ax.make("cartpole")
    assert isinstance(env, Environment)
    tasks, keys = draw_tasks(env, "test", TASKS, 1)
    maze = ax.make("maze", **ARENAS["maze"].fields)
    in_mazes = [
        held(trained(Pair("selector", "maze", ARENAS["maze"].fields, ""), seed)[0], maze) for seed in range(SEEDS)
    ]
    pools = {}
    for name in ("selector", "selector, charged for returns"):
        pair = Pair("selector", "cartpole", {}, "", changed=ENTRIES[name].changed)
        pools[name] = [judged(trained(pair, seed)[0], env, tasks, keys) for seed in range(SEEDS)]
    print(pools, in_mazes, flush=True)
    write("pool", {"environment": "cartpole", "tasks": TASKS, "pools": pools, "mazes": in_mazes}, "", "pool")


if __name__ == "__main__":
    main()
