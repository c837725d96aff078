"""What the presets reach: trains each pair three times, judges it on unseen tasks, and keeps one JSON a pair.

    python benchmarks/learning.py --list
    python benchmarks/learning.py rl2-bernoulli-bandit-5

Training uses exactly the preset that `adaptax train LEARNER ENV` uses; tasks, keys and seeds of the report were used
neither in training nor in tuning.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

import adaptax as ax
from adaptax.measure import Samples, stack_seeds
from adaptax.runs import values_of
from speed.timing import machine

RESULTS = Path(__file__).parent / "results"
CACHE = Path.home() / ".cache" / "adaptax" / "benchmarks"


class Pair(NamedTuple):
    """One published result."""

    learner: str
    env: str
    env_fields: dict[str, Any]
    bar: str
    tasks: int = 1000
    episodes: int | None = None
    copies: int | None = None  # environment copies at test; None is as many as in training


BANDIT, GRID, POINT = "bernoulli-bandit", "grid-navigation", "point-navigation"
POINT_BAR = "after one gradient step >= -12, after three >= -6, within 10 minutes"
PAIRS = {
    "rl2-bernoulli-bandit-5": Pair("rl2", BANDIT, {"arms": 5}, "mean >= 6.64, each >= 6.62, 2 minutes", 100_000),
    "rl2-bernoulli-bandit-10": Pair(
        "rl2", BANDIT, {"arms": 10}, "mean >= 6.68, no seed below 6.66, 2 minutes", 100_000
    ),
    "rl2-bernoulli-bandit-50": Pair(
        "rl2", BANDIT, {"arms": 50}, "mean >= 6.69, no seed below 6.67, 2 minutes", 100_000
    ),
    "rl2-grid-navigation": Pair("rl2", GRID, {}, ">= 35.7; episodes 3 and 4 >= 10.9; 5 minutes", 20_000),
    "maml-point-navigation": Pair("maml", POINT, {}, POINT_BAR, 1000, 5),
    "maml-point-navigation-one-copy": Pair("maml", POINT, {}, "none: what one robot would get", 1000, 5, 1),
    "fomaml-point-navigation": Pair("fomaml", POINT, {}, "beside maml", 1000, 5),
    "meta-sgd-point-navigation": Pair("meta-sgd", POINT, {}, "beside maml", 1000, 5),
    "reptile-point-navigation": Pair("reptile", POINT, {}, "beside maml", 1000, 5),
    "scratch-point-navigation": Pair("scratch", POINT, {}, "beside maml", 1000, 5),
    "multi-task-point-navigation": Pair("multi-task", POINT, {}, "beside maml", 1000, 5),
    "oracle-point-navigation": Pair("oracle", POINT, {}, "beside maml", 1000, 5),
}
PAIRS |= {
    f"{learner}-{env}": Pair(learner, env, {}, "beside maml", 1000, 6)
    for env in ("cartpole", "pendulum")
    for learner in ("maml", "scratch", "multi-task", "oracle")
}


def one_seed(pair: Pair, seed: int) -> tuple[dict[str, Any], ax.Evaluation]:
    """Trains and evaluates one seed."""
    env = ax.make(pair.env, **pair.env_fields)
    learner, meta_steps = ax.preset(pair.learner, pair.env)
    begun = time.monotonic()
    run = ax.train(learner, env, meta_steps=meta_steps, seed=seed)
    seconds = time.monotonic() - begun
    fields = {"copies": pair.copies} if pair.copies else None
    result = ax.evaluate(run, tasks=pair.tasks, episodes=pair.episodes, seed=1, learner_fields=fields)
    data = result.as_dict()
    kept = {name: data[name] for name in ("total_return", "episode_return", "phase_return")}
    curve = [[line["step"], line["seconds"], line["validation"]] for line in run.history if "validation" in line]
    about = {"seed": seed, "train_seconds": round(seconds, 1), "meta_steps": meta_steps}
    return about | kept | {"validation_curve": curve}, result


def together(results: list[ax.Evaluation]) -> dict[str, Any]:
    """Evaluations of several seeds on the same tasks as one, with intervals over tasks and seeds."""
    samples = stack_seeds([Samples(*(values[0] for values in result.samples)) for result in results])
    return results[0]._replace(samples=samples, seeds=len(results)).as_dict()


def main() -> None:
    """Runs the pairs named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="pairs; by default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:<34} {pair.bar}" for name, pair in PAIRS.items()))
        return
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    for name in options.names or PAIRS:
        pair = PAIRS[name]
        learner, _ = ax.preset(pair.learner, pair.env)
        runs, results = zip(*(one_seed(pair, seed) for seed in range(options.seeds)), strict=True)
        summary = {
            "name": name,
            "bar": pair.bar,
            **together(list(results)),
            "fields": values_of(learner),
            "train_seconds": max(run["train_seconds"] for run in runs),
            "runs": runs,
            "command": f"python benchmarks/learning.py {name}",
            "machine": machine(),
        }
        path = RESULTS / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(summary, indent=1) + "\n")
        each = [round(run["total_return"], 3) for run in runs]
        phases = [[round(value, 2) for value in run["phase_return"]] for run in runs]
        print(name, "total", each, "phases", phases, summary["train_seconds"], "s", flush=True)


if __name__ == "__main__":
    main()
