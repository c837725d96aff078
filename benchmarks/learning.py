"""What the presets reach: trains each pair with several seeds, judges it on unseen tasks, and keeps one JSON a pair.

    python benchmarks/learning.py --list
    python benchmarks/learning.py rl2-bernoulli-bandit-5
    python benchmarks/learning.py cartpole          # a comparison: every learner there, and MAML's paired differences

Training uses the preset that `adaptax train LEARNER ENV` uses (fewer meta-steps where that is enough); tasks, keys and
seeds of the report were used neither in training nor in tuning.
"""

import argparse
import json
import shutil
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import jax

import adaptax as ax
from adaptax.checkpoint import mark_of
from adaptax.config import replaced
from adaptax.core.env import Environment
from adaptax.measure import Samples, stack_seeds
from adaptax.runs import Run, values_of
from speed.timing import machine

RESULTS = Path(__file__).parent / "results"
CACHE = Path.home() / ".cache" / "adaptax" / "benchmarks"
ASIDE = {"cli", "evaluation.py", "presets", "references", "report", "testing"}  # trainings do not depend on these
PACKAGE = Path(ax.__file__).parent
SOURCES = sha256(
    b"".join(
        path.read_bytes() for path in sorted(PACKAGE.rglob("*.py")) if not ASIDE & {*path.relative_to(PACKAGE).parts}
    )
).hexdigest()


class Pair(NamedTuple):
    """One published result."""

    learner: str
    env: str
    env_fields: dict[str, Any]
    bar: str
    tasks: int = 1000
    meta_steps: int | None = None  # None is what the preset says
    episodes: int | None = None
    preset: str = "default"
    changed: dict[str, Any] | None = None  # fields of the learner that are not as in the preset
    one_copy: bool = False  # evaluate with one environment copy as well: what one robot would get


BANDIT, GRID, POINT = "bernoulli-bandit", "grid-navigation", "point-navigation"
DRIFTING = {"common": 0.8, "flip": 0.025}
PAIRS = {
    "rl2-bernoulli-bandit-5": Pair("rl2", BANDIT, {"arms": 5}, "mean >= 6.64, each >= 6.62, 2 minutes", 100_000),
    "rl2-bernoulli-bandit-10": Pair(
        "rl2", BANDIT, {"arms": 10}, "mean >= 6.68, each >= 6.66, 2 minutes", 100_000, 1200
    ),
    "rl2-bernoulli-bandit-50": Pair(
        "rl2", BANDIT, {"arms": 50}, "mean >= 6.69, each >= 6.67, 2 minutes", 100_000, 1000
    ),
    "rl2-grid-navigation": Pair("rl2", GRID, {}, ">= 35.7; episodes 3 and 4 >= 10.9; 5 minutes", 20_000),
    "maml-point-navigation": Pair(
        "maml",
        POINT,
        {},
        "after one gradient step >= -12, after three >= -6, within 10 minutes",
        episodes=6,
        one_copy=True,
    ),
    "multi-task-cartpole-gymnasium": Pair(
        "multi-task",
        "cartpole",
        {"pole": 0.5, "motor": 10.0, "lean": 0.0},
        "none: shows that the usual pole and motor leave no room for adaptation",
        episodes=6,
    ),
}
for kind, regret in {"easy": 0.8, "medium": 1.3, "hard": 2.8, "uniform": 1.5}.items():
    PAIRS[f"rl2-dependent-{kind}"] = Pair(
        "rl2",
        "dependent-bandit",
        {"arms_are": kind},
        f"regret <= {regret}, each seed, 3 minutes",
        20_000,
        preset="hard" if kind == "hard" else "default",
    )
PAIRS["rl2-two-arms"] = Pair(
    "rl2", BANDIT, {"arms": 2, "pulls": 100}, "regret <= 2.3, each seed, 5 minutes", 20_000, preset="long"
)
PAIRS["rl2-five-arms"] = Pair(
    "rl2", BANDIT, {"arms": 5, "pulls": 100}, ">= 77.0, each seed, 30 minutes", 20_000, preset="long"
)
PAIRS["rl2-gaussian-bandit"] = Pair("rl2", "gaussian-bandit", {}, "regret <= 5.06, each seed, 15 minutes", 20_000)
PAIRS["rl2-informative-bandit"] = Pair("rl2", "informative-bandit", {}, ">= 20.3, each seed, 3 minutes", 20_000)
for name, fields, words in (("static", {}, "69.69"), ("drifting", DRIFTING, "70.59")):
    PAIRS[f"rl2-two-step-{name}"] = Pair("rl2", "two-step", fields, f">= 68.5 of {words}, each seed, 5 minutes", 20_000)
PAIRS["rl2-tabular-mdp"] = Pair(
    "rl2", "tabular-mdp", {}, ">= 150.2 in 30 minutes, each seed; >= 156.2 with its time", 20_000
)
DARK = ">= 95 % of the oracle once all is found (claim-dark.json), each seed, 10 minutes"
MAZE = "last episode <= 1.5 x the shortest way in >= 90 % of mazes (claim-maze.json), each seed, 15 minutes"
PAIRS |= {
    "rl2-dark-room": Pair("rl2", "dark-room", {}, DARK, 20_000),
    "rl2-dark-key-door": Pair("rl2", "dark-key-door", {}, DARK.replace("dark.", "doors."), 20_000),
    "rl2-maze": Pair("rl2", "maze", {}, MAZE, 5000),
    "multi-task-maze": Pair("multi-task", "maze", {}, "none: what a policy without memory does"),
    "rl2-mountain-treasure": Pair("rl2", "mountain-treasure", {}, "none: whether it climbs", 20_000),
    "rl2-restless-bandit": Pair("rl2", "restless-bandit", {}, "none: for comparison", 20_000),
}
# Comparisons: the first learner against the others, on the same tasks and keys.
COMPARED = {
    POINT: ("maml", "fomaml", "meta-sgd", "reptile", "scratch", "multi-task", "oracle"),
    "cartpole": ("maml", "scratch", "multi-task", "oracle"),
    "pendulum": ("maml", "scratch", "multi-task", "oracle"),
}
BARS = dict.fromkeys(
    ("cartpole", "pendulum"), "maml above scratch and multi-task at every phase from 1, paired intervals excluding zero"
)
SEEDS = {"pendulum": 5}  # where three are too few, and why
NOTES = {
    "pendulum": "Five seeds, for after the first three the difference to multi-task at k = 1 was 40 (-5 to 91), though "
    "each seed's was positive: luck in training the policy without adaptation is large."
}
for env_name, learners in COMPARED.items():
    for learner_name in learners:
        bar = BARS.get(env_name, "none: for comparison")
        PAIRS.setdefault(f"{learner_name}-{env_name}", Pair(learner_name, env_name, {}, bar, episodes=6))


def trained(pair: Pair, seed: int, env: Environment | None = None) -> tuple[Run, float]:
    """One training and its seconds; elsewhere than in the pair's environment, where another one is given."""
    learner, usual = ax.preset(pair.learner, pair.env, pair.preset)
    learner = replaced(learner, pair.changed or {}, "learner")
    usual_env, meta_steps = ax.make(pair.env, **pair.env_fields), pair.meta_steps or usual
    env = env or usual_env
    where = [pair.env, values_of(usual_env), type(env).__name__]
    asked = [SOURCES, pair.learner, values_of(learner), *where, meta_steps, seed]
    folder = CACHE / "runs" / mark_of(asked)
    if not (folder / "seconds").exists():  # trainings by the very same code are not made twice
        shutil.rmtree(folder, ignore_errors=True)
        begun = time.monotonic()
        ax.train(learner, env, meta_steps=meta_steps, seed=seed, out=folder)
        (folder / "seconds").write_text(str(round(time.monotonic() - begun, 1)))
    return ax.open_run(folder, env=env), float((folder / "seconds").read_text())


def about(run: Run, seconds: float, result: ax.Evaluation) -> dict[str, Any]:
    """One seed, in short."""
    data = result.as_dict()
    kept = {name: data[name] for name in ("total_return", "episode_return", "phase_return")}
    curve = [[line["step"], line["seconds"], line["validation"]] for line in run.history if "validation" in line]
    head = {"seed": run.settings.seed, "train_seconds": seconds, "meta_steps": run.settings.meta_steps}
    return head | kept | {"validation_curve": curve}


def together(results: list[ax.Evaluation]) -> ax.Evaluation:
    """Evaluations of several seeds on the same tasks as one, with intervals over tasks and seeds."""
    samples = stack_seeds([Samples(*(values[0] for values in result.samples)) for result in results])
    return results[0]._replace(samples=samples, seeds=len(results), seconds=sum(result.seconds for result in results))


def publish(name: str, pair: Pair, seeds: int) -> ax.Evaluation:
    """Trains, evaluates and writes one pair; returns the evaluation over its seeds."""
    runs = [trained(pair, seed) for seed in range(seeds)]
    fields = values_of(ax.preset(pair.learner, pair.env, pair.preset)[0])
    for suffix, changed in (("", None), ("-one-copy", {"copies": 1}))[: 1 + pair.one_copy]:
        results = [
            ax.evaluate(run, tasks=pair.tasks, episodes=pair.episodes, seed=1, learner_fields=changed)
            for run, _ in runs
        ]
        joint = together(results)
        each = [about(*run, result) for run, result in zip(runs, results, strict=True)]
        slowest = {"train_seconds": max(seconds for _, seconds in runs)}
        head = {"name": name + suffix, "bar": "none: what one robot would get" if suffix else pair.bar}
        write(name + suffix, head | joint.as_dict() | {"fields": fields} | slowest | {"runs": each}, name)
        phases = [[round(value, 2) for value in run["phase_return"]] for run in each]
        print(name + suffix, [round(run["total_return"], 3) for run in each], phases, slowest, flush=True)
        found = joint if not suffix else found
    return found


def compare(env: str, results: dict[str, ax.Evaluation]) -> None:
    """Writes the paired differences of the first learner to the others, phase by phase."""
    ours, *others = COMPARED[env]
    differences = {}
    for other in others:
        mean, low, high = results[ours].minus(results[other])
        differences[other] = {"phase_return": mean.tolist(), "ci95": [low.tolist(), high.tolist()]}
        print(f"{ours} - {other}", [f"{m:.2f} ({a:.2f}, {b:.2f})" for m, a, b in zip(mean, low, high, strict=True)])
    head = {
        "environment": env,
        "bar": BARS.get(env, "none"),
        "tasks": results[ours].tasks,
        "seeds": results[ours].seeds,
        "note": NOTES.get(env, ""),
    }
    write(f"comparison-{env}", head | {f"{ours} minus": differences}, env)


def write(name: str, result: dict[str, Any], argument: str, script: str = "learning") -> None:
    """One JSON of a result, with what it takes to make it again."""
    RESULTS.mkdir(exist_ok=True)
    made = {"command": f"python benchmarks/{script}.py {argument}".strip(), "machine": machine()}
    (RESULTS / f"{name}.json").write_text(json.dumps(result | made, indent=1) + "\n")


def main() -> None:
    """Runs the pairs and comparisons named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="pairs, or environments with a comparison; by default everything")
    parser.add_argument("--seeds", type=int, help=f"3, for these more: {SEEDS}")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:<34} {pair.bar}" for name, pair in PAIRS.items()))
        return
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    compared = {f"{learner}-{env}" for env, learners in COMPARED.items() for learner in learners}
    alone = [name for name in PAIRS if name not in compared]
    for name in options.names or [*alone, *COMPARED]:
        seeds = options.seeds or SEEDS.get(name if name in COMPARED else PAIRS[name].env, 3)
        if name in COMPARED:
            members = {learner: f"{learner}-{name}" for learner in COMPARED[name]}
            compare(name, {learner: publish(m, PAIRS[m], seeds) for learner, m in members.items()})
        else:
            publish(name, PAIRS[name], seeds)


if __name__ == "__main__":
    main()
