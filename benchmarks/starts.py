"""Seven ways to start a Q-network, and what they must beat: return against environment steps in tasks nobody has seen.

    python benchmarks/starts.py maze                    # everything that is compared there
    python benchmarks/starts.py cartpole hyper-dqn dqn  # some of it

Trains each entry with an arena's seeds by its preset, lets it live on test tasks to a budget of environment steps, and
writes `benchmarks/results/starts-ARENA.json`, entry by entry: the curve of greedy returns, the steps to nine tenths of
the oracle, the area under the curve, the same on the ood split, and what training and adaptation cost.
"""

import argparse
import json
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

import adaptax as ax
from adaptax.config import replaced
from adaptax.core.env import Environment
from adaptax.core.learner import traced
from adaptax.core.lifetime import born, live_phase
from adaptax.core.trainer import initial_state, meta_step
from adaptax.measure import draw_tasks
from adaptax.ops.statistics import bootstrap_mean, nanmean
from adaptax.references.maze import maze_ways, random_search
from adaptax.runs import Run, elsewhere, values_of
from flops import flops
from learning import CACHE, RESULTS, Pair, together, trained, write
from shuffled import Shuffled

SEEDS, TASKS, ENOUGH = 3, 200, 0.9


class Entry(NamedTuple):
    """What is compared."""

    learner: str
    preset: str = "default"
    changed: dict[str, Any] | None = None  # fields that are not as in the preset
    shuffled: bool = False  # trained and tested with the descriptors of other tasks
    misled: bool = False  # trained as it is, and tested with the descriptors of other tasks
    tested: dict[str, Any] | None = None  # fields that are changed for the test
    steps: int | None = None  # budget, where it is not the arena's


class Arena(NamedTuple):
    """Where starts are compared."""

    env: str
    fields: dict[str, Any]
    steps: int  # budget in a new task
    presets: dict[str, str]  # learner -> its preset, where that is not the default
    entries: tuple[str, ...]
    seeds: int = SEEDS

    def preset(self, entry: Entry) -> str:
        """The preset that an entry is trained by."""
        return self.presets.get(entry.learner, "default") if entry.preset == "default" else entry.preset


ENTRIES = {
    "scratch": Entry("dqn"),
    "meta-dqn": Entry("meta-dqn"),
    "warm-start": Entry("warm-start"),
    "q-init": Entry("q-init"),
    "hyper-dqn": Entry("hyper-dqn"),
    "metric-dqn": Entry("metric-dqn"),
    "selector": Entry("selector"),
    "learned-optimizer": Entry("learned-optimizer"),
    "multi-task": Entry("multi-task"),
    "maml": Entry("maml"),
    "rl2": Entry("rl2"),
    "oracle": Entry("oracle"),
    "meta-dqn, search": Entry("meta-dqn", tested={"search": "td"}),
    "meta-dqn, far search": Entry("meta-dqn", tested={"search": "td", "starts": 32, "search_steps": 50}),
    "meta-dqn, value": Entry("meta-dqn", tested={"search": "value"}),
    "meta-dqn, far value": Entry("meta-dqn", tested={"search": "value", "starts": 32, "search_steps": 50}),
    "meta-dqn, search in two episodes": Entry("meta-dqn", tested={"search": "td", "steps": 16}, steps=208),
    "meta-dqn, not told": Entry("meta-dqn", "not-told"),
    "hyper-dqn, not told": Entry("hyper-dqn", "not-told"),
    "metric-dqn, not told": Entry("metric-dqn", "not-told"),
    # a pole under random forces falls after eight or nine steps: what two episodes tell, and what follows at once
    "hyper-dqn, two episodes": Entry("hyper-dqn", "not-told", {"steps": 16, "phases": 12}, steps=208),
    "hyper-dqn, two episodes in order": Entry(
        "hyper-dqn", "not-told", {"features": "encoder", "steps": 16, "phases": 12}, steps=208
    ),
    "metric-dqn, averages": Entry("metric-dqn", changed={"neighbours": 10, "trained_from": "one"}),
    "metric-dqn, averages of strangers": Entry("metric-dqn", changed={"neighbours": 10, "trained_from": "own"}),
    "selector, charged for returns": Entry("selector", changed={"loss": "return"}),
    "selector, charged for TD errors": Entry("selector", changed={"loss": "td"}),
    "selector, policies": Entry("selector", changed={"pool": "policies"}),
    "meta-dqn, shuffled": Entry("meta-dqn", shuffled=True),
    "hyper-dqn, shuffled": Entry("hyper-dqn", shuffled=True),
    "metric-dqn, shuffled": Entry("metric-dqn", shuffled=True),
    "meta-dqn, misled": Entry("meta-dqn", misled=True),
    "hyper-dqn, misled": Entry("hyper-dqn", misled=True),
    "metric-dqn, misled": Entry("metric-dqn", misled=True),
}

# by default these learners are tuned for mazes with a local view
POLICIES = dict.fromkeys(("rl2", "multi-task", "maml"), "position")
# the oracle of a maze is the shortest way
LEARNERS = tuple(name for name, entry in ENTRIES.items() if entry == Entry(entry.learner) and name != "oracle")
WRONGLY_TOLD = tuple(name for name, entry in ENTRIES.items() if entry.shuffled or entry.misled)
ARENAS = {
    "maze": Arena(
        "maze",
        {"rooms": 3, "view": "position"},
        12_000,
        POLICIES,
        (*LEARNERS, "selector, charged for TD errors", *WRONGLY_TOLD),
    ),
    "maze-4": Arena("maze", {"rooms": 4, "view": "position"}, 20_000, POLICIES | {"hyper-dqn": "rooms-4"}, LEARNERS, 1),
    "cartpole": Arena(
        "cartpole", {}, 10_000, {}, tuple(name for name in ENTRIES if name != "selector, charged for TD errors")
    ),
}


def oracle(arena: Arena, split: str, seed: int) -> float:
    """What an episode pays who knows the task: the shortest way in a maze, a pole that stands to the end."""
    env = ax.make(arena.env, **arena.fields)
    if arena.env != "maze":
        return float(env.episode_steps)
    ways = maze_ways(draw_tasks(env, split, TASKS, seed)[0])
    return float(np.mean(1.0 - 0.01 * (ways - 1)))


def luck(arena: Arena) -> dict[str, float]:
    """Quantiles over mazes: expected steps of random moves until the goal is met. By such moves nobody learns before.

    On the cart-pole every step pays: none.
    """
    if arena.env != "maze":
        return {}
    env = ax.make(arena.env, **arena.fields)
    steps = random_search(draw_tasks(env, "test", TASKS, 1)[0], env.episode_steps)
    return {str(q): round(float(np.quantile(steps, q)), 1) for q in (0.5, 0.75, 0.9)}


def lives(
    arena: Arena,
    runs: list[Run],
    split: str,
    seed: int,
    tested: dict[str, Any] | None,
    tasks: int = TASKS,
    env: Environment | None = None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Greedy returns `[S, N, K]` in lives up to the budget, the environment steps `[K]` before each, and seconds.

    A life that is one long phase is judged at its two ends: it is lived to other lengths too. `env` is by default that
    of the runs.
    """
    (tester,), env, _ = elsewhere(runs[0], env, tested, "best")
    schedule = tester.schedule()
    phases = math.ceil(arena.steps / (schedule.steps * schedule.copies))
    episodes = max(1, phases * schedule.steps // env.episode_steps)

    def judged(episodes: int) -> tuple[np.ndarray, np.ndarray, float]:
        results = [
            ax.evaluate(run, split=split, tasks=tasks, episodes=episodes, seed=seed, env=env, learner_fields=tested)
            for run in runs
        ]
        length = tester.schedule(episodes)
        steps = np.arange(length.phases + 1) * length.steps * length.copies
        return together(results).samples.phase_return, steps, min(result.seconds for result in results)

    curves, steps, seconds = judged(episodes)
    while tester.schedule(episodes).phases == 1 and (episodes := episodes // 2):
        sooner, at, _ = judged(episodes)
        curves, steps = np.concatenate([sooner, curves[..., 1:]], -1), np.concatenate([at, steps[1:]])
    return curves, steps, seconds


def areas(curves: np.ndarray, steps: np.ndarray, budget: int) -> np.ndarray:
    """Mean of curves `[..., K]` over steps 0 to the budget; behind its last point a curve goes on as it ended."""
    grid = np.linspace(0, budget, 501)
    place = np.clip(np.searchsorted(steps, grid, side="right") - 1, 0, len(steps) - 1)
    return curves[..., place].mean(-1)


def steps_to(curve: np.ndarray, steps: np.ndarray, enough: float, budget: int) -> int | None:
    """The first steps at which a curve is high enough, within the budget."""
    there = np.flatnonzero((curve >= enough) & (steps <= budget))
    return int(steps[there[0]]) if there.size else None


def measured(
    arena: Arena,
    runs: list[Run],
    split: str,
    seed: int = 1,
    tested: dict[str, Any] | None = None,
    env: Environment | None = None,
) -> dict[str, Any]:
    """The curve of a split and what it says."""
    samples, steps, seconds = lives(arena, runs, split, seed, tested, env=env)
    best = oracle(arena, split, seed)
    mean, (low, high) = nanmean(samples), bootstrap_mean(samples)
    area = areas(samples, steps, arena.steps)
    to = lambda curve: steps_to(curve, steps, ENOUGH * best, arena.steps)
    return {
        "steps": steps.tolist(),
        "phase_return": np.round(mean, 4).tolist(),
        "ci95": [np.round(low, 4).tolist(), np.round(high, 4).tolist()],
        "oracle": round(best, 4),
        "steps_to_enough": to(mean),
        "steps_to_enough_each": [to(curve) for curve in nanmean(samples, (1,))],
        "area": float(area.mean()),
        "area_ci95": [float(x[0]) for x in bootstrap_mean(area[..., None])],
        "seconds_a_life": round(seconds / TASKS, 4),
    }


def cost(learner: Any, env: Environment, arena: Arena, tested: dict[str, Any] | None = None) -> dict[str, float]:
    """Operations to train so many meta-steps as the learner is bound to, and in a life to the budget."""
    tester, meta_steps, key = traced(replaced(learner, tested or {}, "learner")), learner.meta_steps, jax.random.key(0)
    learner, schedule = traced(learner), tester.schedule()
    schedule = schedule._replace(phases=math.ceil(arena.steps / (schedule.steps * schedule.copies)))
    state = jax.eval_shape(lambda key: initial_state(learner, env, key), key)
    meta = jax.eval_shape(tester.deployed, state.meta)
    birth = lambda meta, key: born(tester, env, meta, env.tasks.train(key), key, schedule.copies)
    phase = lambda meta, life: live_phase(tester, env, meta, life, schedule, True)
    lived = meta, jax.eval_shape(birth, meta, key)
    # what is found out of a task at the end of a phase, in the first ones only, stands in a branch
    finding = min(schedule.phases, getattr(tester, "finding", 0) + getattr(tester, "attempts", 0))
    life = flops(birth, meta, key) + finding * flops(phase, *lived)
    life += (schedule.phases - finding) * flops(phase, *lived, branch=min)
    one = flops(lambda state: meta_step(learner, env, state), state)
    return {"train_flops": one * meta_steps, "life_flops": life}


def compare(name: str, entry_name: str) -> dict[str, Any]:
    """Trains and measures one entry in an arena."""
    entry = ENTRIES[entry_name]
    arena = ARENAS[name]._replace(steps=entry.steps or ARENAS[name].steps)
    pair = Pair(entry.learner, arena.env, arena.fields, "", preset=arena.preset(entry), changed=entry.changed)
    other = Shuffled(ax.make(arena.env, **arena.fields))
    runs = [trained(pair, seed, other if entry.shuffled else None) for seed in range(arena.seeds)]
    first = runs[0][0]
    learner = first.learner.bind(first.env.spec(), first.settings.meta_steps)
    made = entry._asdict() | {"meta_steps": first.settings.meta_steps, "privileged": learner.privileged}
    made["fields"] = values_of(learner)
    if all("members_used" in run.history[-1] for run, _ in runs):
        made["members_used"] = [round(run.history[-1]["members_used"], 2) for run, _ in runs]
    spent = {"train_seconds": [seconds for _, seconds in runs], **cost(learner, first.env, arena, entry.tested)}
    spent["train_steps"] = first.history[-1]["env_steps"]
    test = partial(measured, arena, [run for run, _ in runs], tested=entry.tested, env=other if entry.misled else None)
    found = {split: test(split) for split in ("test", "ood")}
    return made | {"seeds": arena.seeds} | spent | found


def main() -> None:
    """Measures the entries named, or all of the arena, and keeps each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("arena", choices=ARENAS)
    parser.add_argument("entries", nargs="*", help="by default all")
    options = parser.parse_intermixed_args()
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    path, arena = RESULTS / f"starts-{options.arena}.json", ARENAS[options.arena]
    head = {"environment": arena.env, "environment_fields": arena.fields, "budget": arena.steps, "tasks": TASKS}
    head["luck"] = luck(arena)
    for entry in options.entries or arena.entries:
        found = compare(options.arena, entry)
        kept = json.loads(path.read_text())["entries"] if path.exists() else {}
        write(path.stem, head | {"entries": kept | {entry: found}}, options.arena, "starts")
        short = {split: [found[split]["steps_to_enough"], round(found[split]["area"], 3)] for split in ("test", "ood")}
        print(entry, short, found["test"]["phase_return"][:3], found["train_seconds"], flush=True)


if __name__ == "__main__":
    main()
