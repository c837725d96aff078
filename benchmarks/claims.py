"""Classical claims of the field, each as one command and one JSON (docs/optimal.md draws them).

    python benchmarks/claims.py schedule     # a recurrent network learns an exploration schedule
    python benchmarks/claims.py planning     # model-free weights behave model-based
    python benchmarks/claims.py transfer     # what is learned on one distribution of arms is worth on another
    python benchmarks/claims.py dark doors   # what was found once is gone to at once, and how much is found
    python benchmarks/claims.py maze         # ways through unseen mazes
    python benchmarks/claims.py climb        # what costs at first is not found out
    python benchmarks/claims.py gradient     # gradient against memory, as much experience for both

Three trainings each, with the presets and seeds of `learning.py`; tasks and keys were used in no training.
"""

import argparse
from typing import Any

import jax
import numpy as np

import adaptax as ax
from adaptax.envs.dark import DarkKeyDoor, DarkRoom, DarkRoomTask, KeyDoorTask
from adaptax.envs.treasure import TOP
from adaptax.ops.statistics import bootstrap_mean, nanmean
from adaptax.references.bandit_limits import Prior, two_armed
from adaptax.references.dark import known_key_door_return, searched_doors, sweep_found
from adaptax.references.grid import steps_there
from adaptax.references.maze import maze_ways
from adaptax.references.two_step import Stays, stays
from adaptax.runs import Run
from learning import BANDIT, CACHE, DRIFTING, GRID, PAIRS, POINT, Pair, trained, write

SEEDS, TASKS, TEST_SEED = 3, 5000, 1
NEAR = 1.5
WAYS = np.linspace(1, 10, 91)  # in shortest ways
PULLS = 100
TWO_ARMS = {"arms": 2, "pulls": PULLS}
BEST: dict[Prior, float] = {"independent": 2 / 3, "uniform": 0.75, "easy": 0.9, "medium": 0.75, "hard": 0.6}


def runs_of(pair: Pair) -> list[Run]:
    """One training for each seed."""
    return [trained(pair, seed)[0] for seed in range(SEEDS)]


def lives_of(name: str) -> list[ax.Lives]:
    """What the runs of a pair, one for each seed, lived in the same unseen tasks."""
    return [ax.record(run, tasks=TASKS, seed=TEST_SEED) for run in runs_of(PAIRS[name])]


def curve(values: np.ndarray) -> dict[str, Any]:
    """Mean over seeds and tasks of `[S, N, points]` with its 95 % interval."""
    low, high = bootstrap_mean(values)
    return {"mean": nanmean(values).tolist(), "ci95": [low.tolist(), high.tolist()]}


def flat(records: np.ndarray) -> np.ndarray:
    """Records `[1, N, K, T, E]` of lives without copies, as `[N, steps]`."""
    kept = np.asarray(records)[0, ..., 0]
    return kept.reshape(len(kept), -1)


def schedule() -> dict[str, Any]:
    """How often each pull is what the Bayes-optimal policy would have pulled, knowing what the agent knew."""
    prefers = two_armed(PULLS, keep=True).prefers
    agrees, explores = [], []
    for _, data in lives_of("rl2-two-arms"):
        action, reward = flat(data.action), flat(data.reward)
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
        lives = [
            stays(flat(data.action), flat(data.step.observation), flat(data.reward))
            for _, data in lives_of(f"rl2-two-step-{name}")
        ]
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


def dark() -> dict[str, Any]:
    """Goals found by the end of each episode, and what is earned from then on, as a share of what knowing earns."""
    room = DarkRoom()
    shape = (TASKS, room.tries, room.horizon)
    found = [after_finding(tasks, flat(data.reward).reshape(shape)) for tasks, data in lives_of("rl2-dark-room")]
    return finding(found, sweep_found(room.size, room.horizon, room.tries), room.horizon)


def doors() -> dict[str, Any]:
    """The same where a key must be found first: doors opened by the end of each longest episode's time."""
    room, lives = DarkKeyDoor(), lives_of("rl2-dark-key-door")
    ends = room.horizon * np.arange(1, room.tries + 1)
    found = [after_opening(tasks, flat(data.reward), flat(data.terminated)) for tasks, data in lives]
    searched = searched_doors(room, lives[0].tasks, room.tries)[0]
    by_ends = [(opened[:, ends - 1], share) for opened, share in found]
    return finding(by_ends, (searched[:, None] <= ends).mean(0), room.horizon)


def finding(found: list[tuple[np.ndarray, float]], searched: np.ndarray, steps: int) -> dict[str, Any]:
    """Of what each seed found `[N, points]` and what that was worth, beside a search; a point every so many steps."""
    return {
        "claim": "what was found once is gone to at once",
        "bar": ">= 0.95 of the oracle from then on, each seed, 10 minutes",
        "steps": steps,
        "found": curve(np.stack([done for done, _ in found])),
        "found by a systematic search": searched.tolist(),
        "share of the oracle": [share for _, share in found],
    }


def after_finding(tasks: DarkRoomTask, reward: np.ndarray) -> tuple[np.ndarray, float]:
    """When the goal was found, and what knowing it was worth, from rewards `[N, episodes, horizon]`.

    Returns:
        1 from the episode on that found the goal `[N, episodes]`, else 0; and what later episodes earned, as a share of
        what who knows the goal earns in them.
    """
    found = np.maximum.accumulate(reward.any(2), 1)
    known = steps_there(np.abs(tasks.start - tasks.goal).sum(1), reward.shape[2])
    later = found[:, :-1]
    return found.astype(float), float((reward.sum(2)[:, 1:] * later).sum() / (known[:, None] * later).sum())


def after_opening(tasks: KeyDoorTask, reward: np.ndarray, opened: np.ndarray) -> tuple[np.ndarray, float]:
    """When the door was opened, and what knowing it was worth, from rewards and opened doors `[N, steps]`.

    Returns:
        1 from the step on that first opened the door `[N, steps]`, else 0; and what the rest of the life earned, as a
        share of what who knows key and door earns in it.
    """
    done = np.maximum.accumulate(opened, 1)
    later = np.pad(done, ((0, 0), (1, 0)))[:, :-1]
    known = known_key_door_return(tasks, DarkKeyDoor().horizon, later.sum(1))
    return done.astype(float), float((reward * later).sum() / known.sum())


def maze() -> dict[str, Any]:
    """Steps of a life's first and last whole episode in unseen mazes, in shortest ways."""
    found = {}
    for learner in ("rl2", "multi-task"):
        first, last = [], []
        for tasks, data in lives_of(f"{learner}-maze"):
            steps = episode_steps(flat(data.terminated), flat(data.truncated)) / maze_ways(tasks)[:, None]
            first.append(steps[:, 0])
            last.append(steps[:, 1])
        found[learner] = {"first": spread(np.stack(first)), "last": spread(np.stack(last))}
    return {
        "claim": "an unseen maze is walked straight to its goal after a few episodes",
        "bar": f"last episode <= {NEAR} x the shortest way in >= 90 % of mazes, each seed; first no longer than "
        "multi-task's; 15 minutes",
        "ways": WAYS.round(1).tolist(),
    } | found


def episode_steps(terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray:
    """Steps of the first and the last whole episode of each life `[N, 2]`; infinite where one did not arrive."""
    found = np.empty((len(terminated), 2))
    for life, (arrived, late) in enumerate(zip(terminated, truncated, strict=True)):
        (ends,) = np.nonzero(arrived | late)
        steps = np.where(arrived[ends], np.diff(ends, prepend=-1), np.inf)
        found[life] = steps[[0, -1]]
    return found


def spread(ways: np.ndarray) -> dict[str, Any]:
    """Of ways `[S, N]`: the share that is near the shortest, each seed; the share within each of `WAYS`, over all."""
    return {
        "near": (ways <= NEAR).mean(1).tolist(),
        "arrived": np.isfinite(ways).mean(1).tolist(),
        "within": [float((ways <= most).mean()) for most in WAYS],
    }


def climb() -> dict[str, Any]:
    """How many lives climb the mountain, and how many come to the treasure."""
    climbed, found = [], []
    for _, data in lives_of("rl2-mountain-treasure"):
        seen = np.asarray(data.step.observation)[0, :, 0, :, 0]
        climbed.append(float((np.hypot(seen[..., 0], seen[..., 1]) < TOP).any(1).mean()))
        found.append(float((flat(data.reward) > 0).any(1).mean()))
    return {"claim": "RL2 does not find out that it pays to climb", "climbed": climbed, "found": found}


def gradient() -> dict[str, Any]:
    """MAML and RL2 trained on the same tasks with as many environment steps, and what they earn in unseen ones."""
    for env in (POINT, GRID):
        assert training_steps("maml", env) == training_steps("rl2", env), f"{env}: one of them would see more"
    found = {env: {learner: trained_on_steps(learner, env) for learner in ("maml", "rl2")} for env in (POINT, GRID)}
    return {"claim": "gradient against memory, as much experience for both"} | found


def training_steps(learner_name: str, env_name: str) -> int:
    """Environment steps of a training with the preset."""
    learner, meta_steps = ax.preset(learner_name, env_name)
    return meta_steps * learner.tasks * learner.bind(ax.make(env_name).spec(), meta_steps).schedule().length


def trained_on_steps(learner_name: str, env_name: str) -> dict[str, Any]:
    """Learning and adaptation of one of them, in returns of an episode: the one finished last in a life."""
    (learner, meta_steps), env, learning = ax.preset(learner_name, env_name), ax.make(env_name), []

    def judge(now: ax.Now) -> None:
        if now.validation is not None:
            tested = ax.evaluate(now.run, split="validation", checkpoint="last", tasks=500, seed=TEST_SEED)
            adapted = tested.samples.return_at_step[..., -1:]
            each = now.run.history[-1]["env_steps"] // SEEDS
            learning.append({"env_steps": each, "seconds": now.seconds} | curve(adapted))

    run = ax.train(learner, env, meta_steps=meta_steps, seeds=SEEDS, callbacks=[judge])
    found: dict[str, Any] = {"env_steps": training_steps(learner_name, env_name), "learning": learning}
    for split in ("test", "ood"):
        for changed in ({}, {"copies": 1}) if learner.copies > 1 else ({},):
            tested = ax.evaluate(run, split=split, tasks=TASKS, seed=TEST_SEED, learner_fields=changed, episodes=6)
            data = tested.as_dict()
            name = f"{split}, one copy" if changed else split
            found[name] = {"steps": tested.steps, "mean": data["return_at_step"], "references": data["references"]}
            found[name] |= {"ci95": data["ci95"]["return_at_step"]}
    return found


CLAIMS = {
    "schedule": schedule,
    "planning": planning,
    "transfer": transfer,
    "dark": dark,
    "doors": doors,
    "maze": maze,
    "climb": climb,
    "gradient": gradient,
}


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
