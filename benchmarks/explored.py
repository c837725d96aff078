"""What is made of what was explored, beside the best that can be made of the very same steps.

    python benchmarks/explored.py tabular-mdp
    python benchmarks/explored.py maze

- `tabular-mdp`: meta-dqn after a phase of random steps, and a planner that knows how MDPs are drawn and acts as if the
  posterior mean were the MDP.
- `maze`: hyper-dqn, after each phase in which it explores, and the best agent that knows how mazes are drawn and what
  all these steps revealed, and remembers what it finds on its way.

Nobody is told what the task is. What networks earn greedily, and agents on average, is computed exactly, not sampled.
Writes `benchmarks/results/explored-ENV.json`.
"""

import argparse
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import adaptax as ax
from adaptax.core.lifetime import born, live_phase
from adaptax.core.types import Task
from adaptax.envs.cells import MOVES, spot
from adaptax.envs.maze import Maze, MazeTask
from adaptax.envs.tabular import TabularMDP
from adaptax.measure import draw_tasks
from adaptax.ops.statistics import bootstrap_mean
from adaptax.references.maze import maze_ways
from adaptax.references.maze_search import known_way, seen
from adaptax.references.planning import Tables, value_iteration
from adaptax.references.tabular_agents import Known
from adaptax.references.transfer import transfer_values
from adaptax.runs import Run, elsewhere
from learning import CACHE, Pair, trained, write

SEEDS = 3
PAIRS = {
    "tabular-mdp": Pair("meta-dqn", "tabular-mdp", {}, ">= 95 % of the planner", tasks=1000),
    "maze": Pair("hyper-dqn", "maze", {"rooms": 3, "view": "position"}, "within 10 %", tasks=100, preset="not-told"),
}
LIKELY = {"train": 24_000, "validation": 3000, "test": 3000}  # mazes, as often in each split as they come


class Explored(NamedTuple):
    """Lives that explored, phase by phase, and what their networks do then."""

    here: np.ndarray  # [N, K, T] states
    action: np.ndarray
    reward: np.ndarray
    after: np.ndarray
    arrived: np.ndarray
    choice: np.ndarray  # [N, K, S] the best action in each state, after each phase


def explored(run: Run, tasks: Task, keys: Any) -> Explored:
    """The phases of N lives in which they explore."""
    (learner,), env, metas = elsewhere(run, None, None, "best")
    meta, schedule = jax.tree.map(lambda x: x[0], metas), learner.schedule()
    states = jnp.arange(env.observation_space.size, dtype=jnp.int32)

    @eqx.filter_jit
    def live(task: Any, key: Any) -> Explored:
        def phase(life: Any, _: None) -> tuple[Any, Explored]:
            life, data = live_phase(learner, env, meta, life, schedule, True)
            values = jax.vmap(lambda state: learner.inner.values(life.agent.inner.params, state))(states)
            lived = data.step.observation, data.action, data.reward, data.next_observation, data.terminated
            return life, Explored(*(x[:, 0] for x in lived), jnp.argmax(values, 1))

        return jax.lax.scan(phase, born(learner, env, meta, task, key, 1), length=learner.exploring)[1]

    return jax.tree.map(np.asarray, jax.vmap(live)(tasks, keys))


def in_mdps(env: TabularMDP, tasks: Any, lives: Explored) -> dict[str, np.ndarray]:
    """What an episode pays by the network `[N, 1]`, by the planner, and to who knows the task."""
    which, shape = np.arange(len(lives.here))[:, None, None], (len(lives.here), env.states, env.actions)
    known = Known(np.zeros((*shape, env.states)), np.zeros(shape), 1.0)
    np.add.at(known.visits, (which, lives.here, lives.action, lives.after), 1.0)
    np.add.at(known.paid, (which, lives.here, lives.action), lives.reward)
    tables = Tables(np.asarray(tasks.transition, float), np.asarray(tasks.reward, float))
    # an MDP in which the network's actions are the best: they alone pay, and wherever one goes it is the same
    chosen = Tables(np.full_like(tables.transition, 1.0 / env.states), np.eye(env.actions)[lives.choice[:, -1]])

    def earned(guess: Tables) -> np.ndarray:
        alone = [slice(i, i + 1) for i in range(len(which))]
        return np.array([transfer_values(guess.some(i), tables.some(i), env.episode_steps)[0] for i in alone])

    told = value_iteration(tables, env.episode_steps)[0][0, :, :1]
    return {"network": earned(chosen), "best": earned(known.expected()), "told": told}


def in_mazes(env: Maze, tasks: MazeTask, lives: Explored) -> dict[str, np.ndarray]:
    """What an episode pays by the network, after each phase `[N, K]`, by the best agent, and to who knows the maze."""
    likely = jax.tree.map(lambda *x: np.concatenate(x), *(draw_tasks(env, *part, 0)[0] for part in LIKELY.items()))
    tasks = jax.tree.map(np.asarray, tasks)
    cell = lambda number: np.stack([number % env.width + 1, number // env.width + 1], -1)
    best = np.zeros(lives.here.shape[:2])
    for i, k in np.ndindex(*best.shape):
        here, action, after, arrived = (
            x[i, : k + 1].ravel() for x in (lives.here, lives.action, lives.after, lives.arrived)
        )
        known = seen(cell(here), action, cell(after), arrived, env.width + 2)
        best[i, k] = paid(known_way(likely, spot(tasks.start[i]), known))
    told = paid(maze_ways(tasks))[:, None]
    return {"network": walked(env, tasks, lives.choice), "best": best, "told": told}


def walked(env: Maze, tasks: MazeTask, choice: np.ndarray) -> np.ndarray:
    """What an episode pays in which an action is chosen for each cell."""
    count, phases = choice.shape[:2]
    which, phase = np.arange(count)[:, None], np.arange(phases)
    position = np.repeat(tasks.start[:, None], phases, 1)  # [N, K, 2]
    earned, over = np.full((count, phases), -0.01 * env.episode_steps), np.zeros((count, phases), bool)
    for step in range(1, env.episode_steps + 1):
        number = (position[..., 1] - 1) * env.width + position[..., 0] - 1
        to = position + np.asarray(MOVES)[choice[which, phase, number]]
        position = np.where(tasks.walls[which, to[..., 1], to[..., 0]][..., None], position, to)
        arrived = (position == tasks.goal[:, None]).all(-1) & ~over
        earned, over = np.where(arrived, paid(step), earned), over | arrived
    return earned


def paid(steps: Any) -> Any:
    """What an episode pays of so many steps to the goal."""
    return 1.0 - 0.01 * (steps - 1)


def main() -> None:
    """Trains three seeds and judges them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("env", choices=PAIRS)
    pair = PAIRS[parser.parse_args().env]
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env, judge = ax.make(pair.env, **pair.env_fields), {"tabular-mdp": in_mdps, "maze": in_mazes}[pair.env]
    runs = [trained(pair, seed) for seed in range(SEEDS)]
    result: dict[str, Any] = {"learner": pair.learner, "preset": pair.preset, "tasks": pair.tasks}
    result["train_seconds"] = [seconds for _, seconds in runs]
    tasks, keys = draw_tasks(env, "test", pair.tasks, 1)
    lives = [explored(run, tasks, keys) for run, _ in runs]
    result["steps"] = (lives[0].here.shape[2] * np.arange(1, lives[0].here.shape[1] + 1)).tolist()
    each = [judge(env, tasks, lived) for lived in lives]
    found = {name: np.stack([one[name] for one in each]) for name in each[0]}  # [seeds, N, K]
    for name, x in found.items():
        result[name] = {"mean": x.mean((0, 1)).tolist(), "ci95": [end.tolist() for end in bootstrap_mean(x)]}
    result["share_each"] = (found["network"].mean(1) / found["best"].mean(1)).tolist()
    print(result, flush=True)
    write(f"explored-{pair.env}", result, pair.env, "explored")


if __name__ == "__main__":
    main()
