"""Meta-DQN in unknown MDPs, beside a planner that knows how MDPs are drawn and saw the very same steps.

    python benchmarks/posterior.py

After a phase of random steps both act to the end of an episode: the network greedily, the planner as if the posterior
mean were the MDP. What they earn is computed exactly. Writes `benchmarks/results/posterior.json`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.core.lifetime import born, live_phase
from adaptax.measure import draw_tasks
from adaptax.ops.statistics import bootstrap_mean
from adaptax.references.planning import Tables, value_iteration
from adaptax.references.tabular_agents import Known
from adaptax.references.transfer import transfer_values
from adaptax.runs import Run, elsewhere
from learning import CACHE, Pair, trained, write

PAIR = Pair("meta-dqn", "tabular-mdp", {}, ">= 95 % of the planner")
SEEDS, TASKS = 3, 1000


def explored(run: Run, split: str, seed: int) -> tuple[Tables, Known, np.ndarray]:
    """Tasks, what their first phases told, and the actions `[N, S]` that the network takes then."""
    (learner,), env, metas = elsewhere(run, None, None, "best")
    meta, schedule = jax.tree.map(lambda x: x[0], metas), learner.schedule()

    @eqx.filter_jit
    def live(task: Any, key: Any) -> Any:
        life, data = live_phase(learner, env, meta, born(learner, env, meta, task, key, 1), schedule, True)
        values = jax.vmap(lambda state: learner.inner.values(life.agent.inner.params, state))
        return data, jnp.argmax(values(jnp.arange(env.states, dtype=jnp.int32)), 1)

    tasks, keys = draw_tasks(env, split, TASKS, seed)
    data, actions = jax.vmap(live)(tasks, keys)
    here, action, after = (np.asarray(x)[..., 0] for x in (data.step.observation, data.action, data.next_observation))
    which, shape = np.arange(TASKS)[:, None], (TASKS, env.states, env.actions)
    known = Known(np.zeros((*shape, env.states)), np.zeros(shape), 1.0)
    np.add.at(known.visits, (which, here, action, after), 1.0)
    np.add.at(known.paid, (which, here, action), np.asarray(data.reward, float)[..., 0])
    tables = Tables(np.asarray(tasks.transition, float), np.asarray(tasks.reward, float))
    return tables, known, np.asarray(actions)


def earned(guess: Tables, tables: Tables, horizon: int) -> np.ndarray:
    """What an episode pays who takes some MDPs for others `[N]`."""
    alone = [slice(i, i + 1) for i in range(len(guess.reward))]
    return np.array([transfer_values(guess.some(i), tables.some(i), horizon)[0, 0] for i in alone])


def judged(run: Run, split: str, seed: int) -> dict[str, np.ndarray]:
    """What both earn in an episode, task by task, and what can be earned by who knows the task."""
    tables, known, actions = explored(run, split, seed)
    states, number = tables.reward.shape[1:]
    # an MDP in which these actions are the best: they alone pay, and wherever one goes it is the same
    chosen = Tables(np.full_like(tables.transition, 1.0 / states), np.eye(number)[actions])
    horizon = ax.make("tabular-mdp").episode_steps
    return {
        "meta-dqn": earned(chosen, tables, horizon),
        "planner": earned(known.expected(), tables, horizon),
        "told": value_iteration(tables, horizon)[0][0, :, 0],
    }


def main() -> None:
    """Trains three seeds and judges them."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    runs = [trained(PAIR, seed) for seed in range(SEEDS)]
    result: dict[str, Any] = {"train_seconds": [seconds for _, seconds in runs], "tasks": TASKS}
    for split in ("test", "ood"):
        each = [judged(run, split, 1) for run, _ in runs]
        found = {name: np.stack([one[name] for one in each]) for name in each[0]}
        result[split] = {
            name: {"mean": float(x.mean()), "ci95": [float(end[0]) for end in bootstrap_mean(x[..., None])]}
            for name, x in found.items()
        }
        result[split]["share_each"] = (found["meta-dqn"].mean(1) / found["planner"].mean(1)).tolist()
        print(split, result[split], flush=True)
    write("posterior", result, "", "posterior")


if __name__ == "__main__":
    main()
