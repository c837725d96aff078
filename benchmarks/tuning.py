"""How the presets of the comparisons were found: the same number of trials for methods and baselines, from one grid.

    python benchmarks/tuning.py point-navigation            # all learners
    python benchmarks/tuning.py cartpole maml multi-task
    python benchmarks/tuning.py cartpole --starts       # ways to start a Q-network

Every trial trains one seed (on cartpole two: whether a training gets off its first plateau, where one of the two
directions is balanced, depends on the seed) and is judged on validation tasks: by its greedy return averaged over the
phases from 1 on, or, where a learner is trained for the return of the whole life, by that. Ways to start a Q-network
are judged by the area under the curve of `starts.py` on its budget, each by one seed. Seeds and keys differ from those
of the results. `benchmarks/results/tuning-ENV.json` keeps every trial.
"""

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import jax

import adaptax as ax
from adaptax.config import replaced
from adaptax.errors import NumericalError
from adaptax.runs import Run
from speed.timing import machine
from starts import ARENAS, Entry, measured

RESULTS = Path(__file__).parent / "results"
SEED = 100  # results use seeds 0, 1, 2
SEEDS = {"cartpole": 2}
TRIALS = {"maze": 4}  # elsewhere 6


# Where multi-task's best lies at an edge of its grid: single steps beyond, to see what the edge hides (`--beyond`).
BEYOND = {
    "cartpole": [{"inner_lr": 0.3, "learning_rate": 1e-2}, {"inner_lr": 1.0, "learning_rate": 5e-3}],
    "pendulum": [{"inner_lr": 0.01, "learning_rate": 2e-2}],
}

Grid = dict[str, list[Any]]
RL2: Grid = {"entropy": [0.01, 0.03, 0.06], "learning_rate": [3e-3, 5e-3]}
ORACLE: Grid = {"learning_rate": [3e-4, 1e-3, 3e-3], "minibatches": [8, 16]}
POINT: Grid = {"inner_lr": [0.5, 1.0, 1.5], "log_std": [0.0, 0.5]}

GRIDS: dict[str, dict[str, Grid]] = {
    "bernoulli-bandit": {"rl2": {"minibatches": [1, 4, 8], "learning_rate": [5e-3, 1e-2]}},
    "grid-navigation": {"rl2": RL2, "maml": {"inner_lr": [1.0, 5.0, 10.0], "learning_rate": [3e-3, 1e-2]}},
    "point-navigation": {
        "rl2": {"discount": [0.95, 0.99], "learning_rate": [1e-3, 2e-3, 4e-3]},
        "maml": POINT,
        "fomaml": POINT,
        "meta-sgd": POINT,
        "reptile": {"inner_lr": [0.5, 1.0, 1.5], "learning_rate": [0.2, 0.5]},
        "scratch": {"inner_lr": [0.5, 2.0, 8.0], "inner_decay": [0.0, 1.0]},
        "multi-task": {"inner_lr": [0.1, 0.5, 2.0], "learning_rate": [1e-3, 3e-3]},
        "oracle": ORACLE,
    },
    "cartpole": {
        "maml": {"inner_lr": [1.0, 2.0, 3.0], "learning_rate": [3e-3, 1e-2]},
        "scratch": {"inner_lr": [0.1, 0.5, 2.0], "inner_decay": [0.0, 1.0]},
        "multi-task": {"inner_lr": [1.0, 3.0, 10.0], "learning_rate": [1e-2, 3e-2]},
        "oracle": ORACLE,
    },
    "pendulum": {
        "maml": {"inner_lr": [0.5, 1.0, 2.0], "learning_rate": [3e-3, 5e-3]},
        "scratch": {"inner_lr": [2.0, 8.0, 32.0], "inner_decay": [0.0, 1.0]},
        "multi-task": {"inner_lr": [0.01, 0.03, 0.1], "learning_rate": [3e-3, 1e-2]},
        "oracle": ORACLE,
    },
}

# Ways to start a Q-network, in the arenas of `starts.py`.
STARTS: dict[str, dict[str, Grid]] = {
    "cartpole": {
        "dqn": {"huber": [1.0, 100.0], "inner_lr": [1e-3, 3e-3, 1e-2]},
        "warm-start": {"rate": [1.0, 0.3, 0.1], "phases": [10, 20]},
        "q-init": {"method": ["reptile", "fomaml", "maml"], "phases": [10, 20]},
        "meta-dqn": {"condition": ["concatenation", "film"], "learning_rate": [5e-4, 1e-3, 2e-3]},
        "hyper-dqn": {"learning_rate": [1e-4, 3e-4, 1e-3], "inner_lr": [1e-3, 3e-3]},
        "metric-dqn": {"trained_from": ["one", "own"], "neighbours": [1, 3, 10]},
        "selector": {"members": [2, 4, 8], "trace": [0.8, 0.9]},
        "learned-optimizer": {"inner_lr": [1e-3, 3e-3], "learning_rate": [1e-3, 3e-3, 1e-2]},
        "rl2": {"entropy": [0.0, 0.01], "learning_rate": [5e-4, 1e-3, 2e-3]},
    },
    "maze": {
        "dqn": {"inner_lr": [1e-3, 3e-3], "n_step": [5, 10]},
        "warm-start": {"rate": [1.0, 0.1], "phases": [20, 40]},
        "q-init": {"method": ["reptile", "maml"], "phases": [20, 40]},
        "meta-dqn": {"condition": ["concatenation", "film"], "learning_rate": [5e-4, 1e-3]},
        "hyper-dqn": {"learning_rate": [5e-4, 1e-3], "inner_lr": [3e-4, 1e-3]},
        "metric-dqn": {"near": [0.0, 0.5], "trained_from": ["one", "own"]},
        "selector": {"members": [2, 16], "trace": [0.8, 0.9]},
        "learned-optimizer": {"inner_lr": [1e-3, 3e-3], "learning_rate": [3e-3, 1e-2]},
        "rl2": {"entropy": [0.02, 0.06], "learning_rate": [3e-3, 5e-3]},
        "multi-task": {"inner_lr": [0.1, 1.0], "learning_rate": [3e-3, 1e-2]},
        "maml": {"inner_lr": [1.0, 3.0], "learning_rate": [3e-3, 1e-2]},
    },
}


def trials(learner: str, env: str, starts: bool) -> list[dict[str, Any]]:
    """The settings of one learner that are tried, on top of its preset: all combinations of its grid."""
    values = (STARTS if starts else GRIDS)[env][learner]
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def trial(learner: str, env_name: str, fields: dict[str, Any], starts: bool) -> dict[str, Any]:
    """One training and what validation tasks say of it."""
    arena = ARENAS[env_name] if starts else None
    env = ax.make(env_name, **(arena.fields if arena else {}))
    base, meta_steps = ax.preset(learner, env_name, arena.preset(Entry(learner)) if arena else "default")
    seeds = 1 if arena else SEEDS.get(env_name, 1)
    begun = time.monotonic()
    try:
        run = ax.train(replaced(base, fields, "learner"), env, meta_steps=meta_steps, seed=SEED, seeds=seeds)
        head = {"fields": fields, "train_seconds": round(time.monotonic() - begun, 1)}
        if arena is None:
            return head | judged(run)
        found = measured(arena, [run], "validation", SEED)
        return head | {"score": found["area"]} | {name: found[name] for name in ("steps_to_enough", "seconds_a_life")}
    except NumericalError as error:
        return {"fields": fields, "score": None, "fault": str(error)}


def judged(run: Run) -> dict[str, Any]:
    """What validation tasks say of a training."""
    if run.learner.objective == "total_return":
        result = ax.evaluate(run, split="validation", tasks=20_000, seed=SEED).as_dict()
        return {"score": result["total_return"], "episode_return": result["episode_return"]}
    phases = ax.evaluate(run, split="validation", tasks=400, episodes=6, seed=SEED).as_dict()["phase_return"]
    adapted = phases[1:]
    return {"score": sum(adapted) / len(adapted), "phase_return": phases}


def main() -> None:
    """Runs the trials of an environment's learners and keeps them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("env", choices=sorted({*GRIDS, *STARTS}))
    parser.add_argument("learners", nargs="*", help="by default all that have a grid there")
    parser.add_argument("--starts", action="store_true", help="ways to start a Q-network, and no more")
    parser.add_argument("--beyond", action="store_true", help="multi-task beyond the edges of its grid, and no more")
    options = parser.parse_intermixed_args()
    grids = STARTS if options.starts else GRIDS
    if options.env not in grids:
        parser.error(f"{'ways to start a Q-network' if options.starts else 'learners'} are tuned on {', '.join(grids)}")
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "adaptax" / "benchmarks"))
    path = RESULTS / f"tuning-{options.env}.json"
    if options.beyond:
        kept = json.loads(path.read_text())
        kept["multi-task beyond the grid"] = [
            trial("multi-task", options.env, fields, False) for fields in BEYOND[options.env]
        ]
        path.write_text(json.dumps(kept, indent=1) + "\n")
        return
    for learner in options.learners or grids[options.env]:
        tried = []
        for fields in trials(learner, options.env, options.starts):
            tried.append(trial(learner, options.env, fields, options.starts))
            print(learner, tried[-1], flush=True)
        assert len(tried) == TRIALS.get(options.env, 6)
        best = max((t for t in tried if t["score"] is not None), key=lambda t: t["score"])["fields"]
        kept = json.loads(path.read_text()) if path.exists() else {}
        command = f"python benchmarks/tuning.py {options.env} {learner}{' --starts' if options.starts else ''}"
        kept |= {"seed": SEED, "machine": machine()}
        kept[learner] = {"command": command, "best": best, "trials": tried}
        path.write_text(json.dumps(kept, indent=1) + "\n")
        print(learner, "best", best, flush=True)


if __name__ == "__main__":
    main()
