"""What is measured against something else: the bound, code written by hand, other libraries."""

import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

from speed import ours, plain_cartpole
from speed.bound import bare_passes, bare_q_passes
from speed.by_hand import maml, rl2, runner
from speed.timing import Result, take_turns, timed
from speed.worker import Worker

LAYOUTS = [(1024, 1), (1024, 2), (1024, 4), (1024, 8), (1024, 16), (512, 4), (2048, 8)]  # tasks, minibatches
LIVES = 4096  # of a timed call: four meta-steps of 1024 tasks
STEPS, SHORT, SHORTEST = 150_000, 20_000, 12_000  # of CleanRL's trainings; the first 10,000 learn nothing


def bound(rounds: int, **_: object) -> Result:
    """RL2's training against its own bare network passes, judged in the minibatch layout where those are fastest."""
    bare, train = {}, {}
    for tasks, minibatches in LAYOUTS:
        learner, env = ours.rl2(tasks=tasks, minibatches=minibatches)
        bare[tasks, minibatches] = bare_passes(learner, LIVES // tasks)
        train[tasks, minibatches] = ours.chunk_runner(learner, env, LIVES // tasks)
    steps = LIVES * ours.rl2()[0].schedule().steps
    times = {layout: [] for layout in LAYOUTS}
    for turn in range(rounds + 1):  # the first turn compiles
        for layout in LAYOUTS:
            pair = timed(train[layout]), timed(bare[layout])
            times[layout] += [pair] if turn else []
    rows = [_bound_row(layout, pairs, steps) for layout, pairs in times.items()]
    best = max(rows, key=lambda row: row["bare_steps_per_s"])  # a slow layout would flatter: its passes take longer
    return {"layouts": rows, "best": best, "bar": "best.ratio >= 0.8", "pass": best["ratio"] >= 0.8}


def _bound_row(layout: tuple[int, int], pairs: list[tuple[float, float]], steps: int) -> Result:
    trained, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / t for t, b in pairs)
    speeds = {"train_steps_per_s": steps / trained, "bare_steps_per_s": steps / bare, "ratio": ratio}
    return {"tasks": layout[0], "minibatches": layout[1]} | speeds


def dqn(rounds: int, **_: object) -> Result:
    """Deep Q-learning inside lives against its own bare network passes."""
    learner, env = ours.dqn()
    steps = ours.env_steps(learner)
    train, bare = (
        ours.chunk_runner(learner, env, 1),
        bare_q_passes(learner, steps // learner.tasks // learner.update_every),
    )
    bound, lived, slower = take_turns(lambda: timed(bare), lambda: timed(train), rounds)
    speeds = {"train_steps_per_s": steps / lived, "bare_steps_per_s": steps / bound, "ratio": 1 / slower}
    memory = ours.memory(learner, env)
    return speeds | memory | {"tasks": learner.tasks, "bar": "ratio >= 0.75", "pass": 1 / slower >= 0.75}


def contract(rounds: int, **_: object) -> Result:
    """The library against the same mathematics written by hand in JAX; their returns show that both learn."""
    default, env = ours.rl2()
    rows = {
        "rl2": _overhead(default, env, rl2(default.tasks, default.minibatches), 10, "life_return", rounds),
        "maml": _overhead(*ours.maml(), maml(), 3, "return_last_phase", rounds),
    }
    return rows | {"bar": "time_ratio <= 1.1", "pass": all(row["time_ratio"] <= 1.1 for row in rows.values())}


def _overhead(learner: Any, env: Any, hand: Any, meta_steps: int, metric: str, rounds: int) -> Result:
    mine, theirs = ours.chunk_runner(learner, env, meta_steps), runner(*hand, meta_steps)
    by_hand, through, ratio = take_turns(lambda: timed(theirs), lambda: timed(mine), rounds)
    steps = meta_steps * ours.env_steps(learner)
    speeds = {"contract_steps_per_s": steps / through, "by_hand_steps_per_s": steps / by_hand, "time_ratio": ratio}
    returns = {"contract": mine()[metric].item(), "by_hand": theirs()[metric].item()}
    return speeds | {"meta_steps_trained": (rounds + 2) * meta_steps, metric: returns}


def sb3(rounds: int, torch_python: str, **_: object) -> Result:
    """RL2 against RecurrentPPO of sb3-contrib on the same bandit, at its best number of environments and threads."""
    with Worker(torch_python, "sb3_recurrent_ppo.py") as worker:
        sweep = []
        for environments in (256, 1024, 2048, 4096):
            for threads in (1, 2):
                setting = {"environments": environments, "threads": threads, "rollouts": max(1, 4096 // environments)}
                worker.ask(**setting | {"rollouts": 1})
                answers = [worker.ask(**setting) for _ in range(2)]
                sweep.append(setting | {"steps_per_s": max(a["steps"] / a["seconds"] for a in answers)})
        best = max(sweep, key=lambda row: row["steps_per_s"])
        setting = {name: best[name] for name in ("environments", "threads", "rollouts")}
        learner, env = ours.rl2()
        mine = ours.chunk_runner(learner, env, 10)
        their_steps = worker.ask(**setting)["steps"]
        seconds = take_turns(lambda: timed(mine), lambda: worker.ask(**setting)["seconds"], rounds)
        versions = worker.ask(**setting)["versions"]
    steps = 10 * ours.env_steps(learner)
    ratio = seconds[2] * steps / their_steps
    speeds = {"ours_steps_per_s": steps / seconds[0], "theirs_steps_per_s": their_steps / seconds[1], "ratio": ratio}
    bars = {"bar": "ratio >= 6", "pass": ratio >= 6}
    return {**speeds, "their_best": best, "their_sweep": sweep, "their_versions": versions, **bars}


def torch_maml(rounds: int, torch_python: str, **_: object) -> Result:
    """MAML against PyTorch with `torch.func`, vectorised by hand, at its best threads and tasks in a vmap."""
    learner, env = ours.maml()
    mine = ours.chunk_runner(learner, env, 3)
    steps = 3 * ours.env_steps(learner)
    with Worker(torch_python, "torch_maml.py") as worker:
        sweep = []
        for threads, chunk in itertools.product((1, 2), (None, 10, 4, 1)):
            setting = {"threads": threads, "chunk": chunk, "meta_steps": 3}
            seconds = min(worker.ask(**setting)["seconds"] for _ in range(3))
            sweep.append(setting | {"steps_per_s": steps / seconds})
        best = max(sweep, key=lambda row: row["steps_per_s"])
        ask = lambda: worker.ask(**{name: best[name] for name in ("threads", "chunk", "meta_steps")})
        seconds = take_turns(lambda: timed(mine), lambda: ask()["seconds"], rounds)
        last = ask()
    speeds = {"ours_steps_per_s": steps / seconds[0], "theirs_steps_per_s": steps / seconds[1], "ratio": seconds[2]}
    returns = {"ours": mine()["return_last_phase"].item(), "theirs": last["returns"][1]}
    details = {"their_best": best, "their_sweep": sweep}
    bars = {"bar": "ratio >= 1.2", "pass": seconds[2] >= 1.2}
    return {**speeds, **details, "return_last_phase": returns, "their_versions": last["versions"], **bars}


def cleanrl(rounds: int, torch_python: str, cleanrl: str, **_: object) -> Result:
    """Deep Q-learning on the plain cart-pole against CleanRL's `dqn.py` as it is: how fast, and how good."""
    with Worker(torch_python, "cleanrl_dqn.py") as worker:
        ask = lambda threads, steps, **more: worker.ask(
            path=cleanrl, threads=threads, flags={"total-timesteps": steps} | more.pop("flags", {}), **more
        )
        sweep = [_their_speed(ask(threads, SHORTEST)) | {"threads": threads} for threads in (1, 2)]
        threads = max(sweep, key=lambda row: row["steps_per_s"])["threads"]
        speed = _dqn_speeds(lambda: _their_speed(ask(threads, SHORT))["steps_per_s"], rounds)
        runs = [ask(threads, STEPS, episodes=100, flags={"seed": seed}) for seed in (1, 2, 3)]
    theirs = {
        "last_tenth": [plain_cartpole.last_tenth(run["ended"], run["returns"], STEPS) for run in runs],
        "greedy": [statistics.mean(run["greedy"]) for run in runs],
    }
    mine = plain_cartpole.reached(STEPS, lives=8, episodes=100)
    huber = plain_cartpole.reached(STEPS, lives=8, episodes=100, huber=1.0)
    returns = {"steps": STEPS, "theirs": theirs, "ours": mine, "ours_with_huber": huber}
    share = statistics.mean(mine["last_tenth"]) / statistics.mean(theirs["last_tenth"])
    details = {"their_threads": threads, "their_sweep": sweep, "their_versions": runs[0]["versions"]}
    bars = {"bar": "return_ratio >= 0.9", "pass": share >= 0.9}
    return {**speed, "return_ratio": share, "returns": returns, **details, **bars}


def _their_speed(answer: Result) -> Result:
    return {"steps_per_s": answer["steps"] / answer["seconds"]}


def _dqn_speeds(theirs: Callable[[], float], rounds: int) -> Result:
    """Steps a second while learning; contestants take turns, and a ratio is the median over the turns."""
    sizes = {"one_life": (1, 20_000), "lives_256": (256, 200)}
    runs = {name: (plain_cartpole.compiled(*size), math.prod(size)) for name, size in sizes.items()}
    runs["on_host"] = plain_cartpole.on_host(2000), 2000
    speeds = {"theirs": theirs} | {name: lambda run=run, n=n: n / timed(run) for name, (run, n) in runs.items()}
    turns = [{name: speed() for name, speed in speeds.items()} for _ in range(rounds + 1)][1:]  # the first compiles
    medians = {name: statistics.median(turn[name] for turn in turns) for name in speeds}
    ratios = {name: statistics.median(turn[name] / turn["theirs"] for turn in turns) for name in runs}
    return {"steps_per_s": medians, "ratio": ratios}
