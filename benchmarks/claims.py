"""Classical claims of the field, each as one command and one JSON (docs/optimal.md draws them).

    python benchmarks/claims.py schedule     # a recurrent network learns an exploration schedule
    python benchmarks/claims.py planning     # model-free weights behave model-based
    python benchmarks/claims.py transfer     # what is learned on one distribution of arms is worth on another

Three trainings each, with the presets and seeds of `learning.py`; tasks and keys were used in no training.
"""

import argparse
from typing import Any

import jax
import numpy as np

import adaptax as ax
from adaptax.ops.statistics import bootstrap_mean, nanmean
from adaptax.references.bandit_limits import Prior, two_armed
from adaptax.references.two_step import Stays, stays
from adaptax.runs import Run
from learning import BANDIT, CACHE, DRIFTING, PAIRS, Pair, trained, write

SEEDS, TASKS, TEST_SEED = 3, 5000, 1
PULLS = 100
TWO_ARMS = {"arms": 2, "pulls": PULLS}
BEST: dict[Prior, float] = {"independent": 2 / 3, "uniform": 0.75, "easy": 0.9, "medium": 0.75, "hard": 0.6}


def runs_of(pair: Pair) -> list[Run]:
    """One training for each seed."""
    return [trained(pair, seed)[0] for seed in range(SEEDS)]


def curve(values: np.ndarray) -> dict[str, Any]:
    """Mean over seeds and tasks of `[S, N, points]` with its 95 % interval."""
    low, high = bootstrap_mean(values)
    return {"mean": nanmean(values).tolist(), "ci95": [low.tolist(), high.tolist()]}


def schedule() -> dict[str, Any]:
    """How often each pull is what the Bayes-optimal policy would have pulled, knowing what the agent knew."""
    prefers = two_armed(PULLS, keep=True).prefers
    agrees, explores = [], []
    for run in runs_of(PAIRS["rl2-two-arms"]):
        lived = ax.record(run, tasks=TASKS, seed=TEST_SEED).data
        action, reward = (np.asarray(x).reshape(TASKS, PULLS) for x in (lived.action, lived.reward))
        agrees.append(agreement(action, reward > 0, prefers))
        explores.append(np.abs(np.diff(action, axis=1, prepend=action[:, :1])))  # 1 where the arm changes
    return {
        "claim": "a recurrent network learns an exploration schedule",
        "agreement": curve(np.stack(agrees)),
        "switches": curve(np.stack(explores)),
    }


def agreement(action: np.ndarray, won: np.ndarray, prefers: list[list[np.ndarray]]) -> np.ndarray:
    """1 where a pull `[N, n]` is among the best ones given what was seen before it, else 0."""
    found = np.ones(action.shape)
    before = lambda what: np.cumsum(what, 1) - what
    first, s1, s2 = before(action == 0), before((action == 0) & won), before((action == 1) & won)
    for done in range(action.shape[1]):
        table = prefers[done]
        wanted = np.array([table[f][a, b] for f, a, b in zip(first[:, done], s1[:, done], s2[:, done], strict=True)])
        found[:, done] = wanted * np.where(action[:, done] == 0, 1, -1) >= 0
    return found


def planning() -> dict[str, Any]:
    """How often a choice is repeated, by whether it was rewarded and by which transition."""
    found = {}
    for name, fields in (("static", {}), ("drifting", DRIFTING)):
        lives = []
        for run in runs_of(PAIRS[f"rl2-two-step-{name}"]):
            data = ax.record(run, tasks=TASKS, seed=TEST_SEED).data
            flat = lambda x: np.asarray(x).reshape(TASKS, -1)
            lives.append(stays(flat(data.action), flat(data.step.observation), flat(data.reward)))
        found[name] = {
            case: curve(np.stack([getattr(life, case) for life in lives])[..., None])
            for case in (*Stays._fields, "interaction")
        } | {"environment_fields": fields}
    return {"claim": "model-free weights behave model-based"} | found


def transfer() -> dict[str, Any]:
    """Regret of an agent trained on each prior and tested on each, beside two exact Bayes policies."""
    priors = {
        name: (BANDIT, TWO_ARMS) if name == "independent" else ("dependent-bandit", {"arms_are": name}) for name in BEST
    }
    cells = []
    for source in priors:
        runs = runs_of(PAIRS["rl2-two-arms" if source == "independent" else f"rl2-dependent-{source}"])
        for target, (env, fields) in priors.items():
            tested = [ax.evaluate(run, tasks=20_000, seed=TEST_SEED, env=ax.make(env, **fields)) for run in runs]
            regret = BEST[target] * PULLS - np.concatenate([result.samples.total_return for result in tested])
            low, high = bootstrap_mean(regret)
            cell = {
                "trained": source,
                "tested": target,
                "regret": float(regret.mean()),
                "ci95": [float(low), float(high)],
                "seeds": regret.mean(1).tolist(),
                "bayes_of_training": BEST[target] * PULLS - two_armed(PULLS, target, source).value,
                "bayes_of_test": BEST[target] * PULLS - two_armed(PULLS, target).value,
            }
            print(cell, flush=True)
            cells.append(cell)
    return {"claim": "what is learned on one distribution of arms is worth on another", "cells": cells}


CLAIMS = {"schedule": schedule, "planning": planning, "transfer": transfer}


def main() -> None:
    """Makes the claims named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*CLAIMS, []], help="by default all")
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    for name in parser.parse_args().names or CLAIMS:
        result = CLAIMS[name]() | {"tasks": TASKS, "number_of_seeds": SEEDS}
        write(f"claim-{name}", result, name, script="claims")


if __name__ == "__main__":
    main()
