"""The page "How close to optimal are meta-learners?" and its pictures, from committed results."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from adaptax.report.style import COLOURS, INK, MUTED, RC
from committed import committed

ROWS = {  # result -> words
    "rl2-bernoulli-bandit-5": "5 Bernoulli arms, 10 pulls",
    "rl2-bernoulli-bandit-10": "10 Bernoulli arms, 10 pulls",
    "rl2-bernoulli-bandit-50": "50 Bernoulli arms, 10 pulls",
    "rl2-two-arms": "2 Bernoulli arms, 100 pulls",
    "rl2-five-arms": "5 Bernoulli arms, 100 pulls",
    "rl2-gaussian-bandit": "arms that pay N(mean, 0.3), 100 pulls",
    "rl2-dependent-easy": "2 dependent arms (0.1, 0.9), 100 pulls",
    "rl2-dependent-medium": "2 dependent arms (0.25, 0.75), 100 pulls",
    "rl2-dependent-hard": "2 dependent arms (0.4, 0.6), 100 pulls",
    "rl2-dependent-uniform": "2 dependent arms (p, 1 - p), 100 pulls",
    "rl2-restless-bandit": "2 arms that drift while they are pulled, 100 pulls",
    "rl2-informative-bandit": "11 arms, one of which tells, 5 pulls",
    "rl2-two-step-static": "two-step task, 100 trials",
    "rl2-two-step-drifting": "two-step task that drifts, 100 trials",
    "rl2-grid-navigation": "a hidden goal in a 5 x 5 grid, 4 episodes",
    "rl2-tabular-mdp": "an unknown MDP of 10 states and 5 actions, 10 episodes",
    "rl2-dark-room": "a goal in a dark room, 8 episodes",
    "rl2-dark-key-door": "a key and a door in a dark room, 500 steps",
    "rl2-maze": "an unseen maze of 4 x 4 rooms, 384 steps",
    "rl2-mountain-treasure": "a mountain that shows where a treasure lies, 1 episode",
}
NOT_CLASSICAL = ("optimal", "oracle", "random")
AGAINST = ("point-navigation", "grid-navigation")
AGAINST_HEAD = ["family", "learner", "adapted, unseen tasks", "adapted, out of distribution", "training, three seeds"]
CASES = ("rewarded_common", "rewarded_rare", "unrewarded_common", "unrewarded_rare")

INTRODUCTION = """# How close to optimal are meta-learners?

A meta-learner is trained to learn. How well it does so can be said exactly where the best possible learner can be
computed: an agent that knows the distribution of tasks, updates its belief by Bayes' rule after every observation, and
plans ahead over everything that it may yet find out. On this page that agent stands beside ours, on unseen tasks.

The optimum is exact (dynamic programming over what can be known, `adaptax.references`), not the best of several runs.
An agent that knew the task itself would earn more than it; no agent that must find out can. `evaluate` marks a result
above it as an error of measurement. Classical algorithms have their constants tuned on tasks of their own. What they
and the agents earn is measured on 20,000 tasks or more, and may by chance lie a little above the optimum.
Where no optimum is known, an agent that is told the task gives a limit, after <.
"""


def rows(results: Path) -> list[list[str]]:
    """One row for each result that there is."""
    found = []
    for name, words in ROWS.items():
        if data := committed(results, name):
            found.append(row(words, data, f"{name}.json"))
    return found


def row(words: str, data: dict[str, Any], file: str) -> list[str]:
    """The agent beside the limit and the best classical algorithm, whole lives."""
    known, (low, high) = data["references"], data["ci95"]["total_return"]
    classical = {name: value for name, value in known.items() if name not in NOT_CLASSICAL}
    best = max(classical, key=lambda name: classical[name], default=None)
    beside = f"{classical[best]:.2f} ({best})" if best else ""
    optimal, lost = known.get("optimal"), "not known"
    limit = f"**{optimal:.2f}**" if optimal is not None else f"< {known['oracle']:.2f}"
    if optimal is not None:
        lost = f"{optimal - data['total_return']:.3f} ({100 * data['normalised']:.1f} %)"
    seeds = ", ".join(f"{run['total_return']:.2f}" for run in data["runs"])
    return [
        f"[{words}](../benchmarks/results/{file})",
        f"{known['random']:.2f}",
        beside,
        f"{data['total_return']:.2f} ({low:.2f} to {high:.2f})",
        seeds,
        limit,
        lost,
        f"{data['train_seconds']:.0f} s",
    ]


HEAD = [
    "task",
    "random",
    "best classical",
    "RL2 (95 %)",
    "each seed",
    "optimum",
    "short of it (share of the way from random reached)",
    "slowest training",
]


def claim(results: Path, name: str) -> dict[str, Any] | None:
    """One of the committed claims."""
    return committed(results, f"claim-{name}")


def page(results: Path, table: Any) -> str:
    """The whole page; `table` makes Markdown of a head and rows."""
    parts = [INTRODUCTION, "## RL2 beside the Bayes-optimal agent", table(HEAD, rows(results))]
    if found := claim(results, "schedule"):
        mean = found["agreement"]["mean"]
        parts += [
            "## It learns when to explore",
            "Two independent arms, 100 pulls: how often RL2 pulls an arm that the Bayes-optimal policy would pull, "
            f"knowing what RL2 knew then. On average over the life it is {100 * np.mean(mean):.1f} % of the pulls, in "
            f"the first ten {100 * np.mean(mean[:10]):.1f} %; a coin would in half of them, and more often only where "
            "both arms are as good. Nobody told it what exploration is.",
            "![Agreement with the optimal policy, pull by pull](images/claim-schedule.svg)",
            reproduce("schedule"),
        ]
    if found := claim(results, "planning"):
        sizes = [
            f"{found[k]['interaction']['mean'][0]:.2f} ({bounds(found[k]['interaction'])}) {k}" for k in versions(found)
        ]
        parts += [
            "## Model-free training, model-based behaviour",
            "In the two-step task a creature of habit repeats what was rewarded, whichever transition led there; a "
            "planner repeats a choice after a rewarded common or an unrewarded rare transition. RL2 was trained "
            f"without a model, and behaves as a planner: reward and transition interact by {', '.join(sizes)}.",
            "![How often a choice is repeated](images/claim-planning.svg)",
            reproduce("planning"),
        ]
    if found := claim(results, "transfer"):
        parts += [
            "## What is learned here is worth there",
            "Regret over 100 pulls of agents trained on one distribution of two arms (rows) and tested on another "
            "(columns). Below each number: the regret of the exact Bayes policy for the distribution of training, and "
            "for the one of the test. To believe in a rule that does not hold costs the exact policy too.",
            "![Regret of training on one distribution and testing on another](images/claim-transfer.svg)",
            reproduce("transfer"),
        ]
    if found := claim(results, "dark"):
        parts += [
            "## What was found once is gone to at once",
            "A dark room has 81 cells, and an episode of 20 steps sees at most 20 of them. Drawn is the share of tasks "
            "in which RL2 has found the goal by the end of each episode, beside a systematic search. From then on it "
            f"earns {percents(found['share of the oracle'])} (each seed) of what an agent earns that is told where the "
            "goal is.",
            "![Goals found, episode by episode](images/claim-dark.svg)",
            reproduce("dark"),
        ]
    if found := claim(results, "doors"):
        runs = json.loads((results / "rl2-dark-key-door.json").read_text(encoding="utf-8"))["runs"]
        seconds = ", ".join(f"{run['train_seconds']:.0f}" for run in runs)
        earned = ", ".join(f"{run['total_return']:.0f}" for run in runs)
        parts += [
            "With a key and a door it is harder: the door opens only to who has found the key in the same episode, and "
            "which steps led there is known only then. Once it has opened the door, RL2 earns "
            f"{percents(found['share of the oracle'])}, after trainings of {seconds} s. When it begins to look for the "
            f"door is luck: the lives of these trainings return {earned}; those of three others that ended a tenth "
            "earlier 65, 38, 61.",
            "![Doors opened](images/claim-doors.svg)",
            reproduce("doors"),
        ]
    if found := claim(results, "maze"):
        ours, plain = found["rl2"], found["multi-task"]
        parts += [
            "## A maze walked once is known",
            "Mazes of 4 x 4 rooms that were not trained on, of which the agent sees the walls around it. In its last "
            f"whole episode RL2 takes at most 1.5 times the shortest way in {percents(ours['last']['near'])} of the "
            f"mazes (each seed), in its first in {percents(ours['first']['near'])}; a policy without memory, trained "
            f"on all mazes at once, in {percents(plain['first']['near'])}.",
            "![Ways of the first and the last episode](images/claim-maze.svg)",
            reproduce("maze"),
        ]
    if found := claim(results, "climb"):
        parts += [
            "## What costs at first is not found out",
            "From the top of the mountain one sees where the treasure lies. To climb costs more at first than to walk "
            f"around, and pays. RL2 climbs in {percents(found['climbed'])} of its lives (each seed): it walks around "
            f"until it comes to the treasure, in {percents(found['found'])}, as Zintgraf et al. report (2021, "
            "arXiv:2010.01062).",
            reproduce("climb"),
        ]
    if found := claim(results, "gradient"):
        steps = ", ".join(f"{found[env]['rl2']['env_steps'] / 1e6:.1f} million on {env}" for env in AGAINST)
        parts += [
            "## By gradient or by memory",
            "MAML changes its weights by gradient steps, RL2 remembers. Both were trained on the same tasks with as "
            f"many environment steps ({steps}), three seeds each. Above: the return of the last episode of a life on "
            "validation tasks, while they are trained. Below: the return of an episode in unseen tasks by how many "
            "environment steps were lived there, all copies counted: MAML measures its gradient in 20 copies of the "
            "environment, and with one copy it must make do with as little as RL2. Dashed: tasks from outside the "
            "training distribution.",
            "Within the distribution memory earns more on points and as much on grids, of far fewer steps in the task. "
            "Outside it, on points, memory hardly improves from episode to episode, where gradients go on to work. RL2 "
            "was trained in lives of four episodes; on grids it does not hold in the fifth and sixth what it knew in "
            "the fourth.",
            "![Learning and adaptation of MAML and RL2](images/claim-gradient.svg)",
            table(AGAINST_HEAD, against_rows(found)),
            reproduce("gradient"),
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def against_rows(found: dict[str, Any]) -> list[list[str]]:
    """Each learner on each family: what it earns, and what it took."""
    last = lambda lived: f"{lived['mean'][-1]:.2f} ({lived['ci95'][0][-1]:.2f} to {lived['ci95'][1][-1]:.2f})"
    return [
        [env, learner, last(one["test"]), last(one["ood"]), f"{one['learning'][-1]['seconds']:.0f} s"]
        for env in AGAINST
        for learner, one in found[env].items()
    ]


def reproduce(name: str) -> str:
    """The command and the numbers."""
    return f"`python benchmarks/claims.py {name}`; [all numbers](../benchmarks/results/claim-{name}.json)."


def percents(shares: list[float]) -> str:
    """A share for each seed."""
    return ", ".join(f"{100 * share:.1f} %" for share in shares)


def versions(found: dict[str, Any]) -> list[str]:
    """The versions of the two-step task."""
    return [key for key in found if isinstance(found[key], dict) and "interaction" in found[key]]


def bounds(curve: dict[str, Any]) -> str:
    """The interval of a single number."""
    low, high = (x[0] for x in curve["ci95"])
    return f"{low:.2f} to {high:.2f}"


def schedule_figure(found: dict[str, Any]) -> Figure:
    """Agreement, pull by pull."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        axes = figure.subplots()
        for key, words, colour in (("agreement", "pulls what is best", 0), ("switches", "changes the arm", 1)):
            pulls = np.arange(1, len(found[key]["mean"]) + 1)
            line(axes, pulls, found[key], colour, words, 100)
        axes.set(xlabel="pull", ylabel="% of lives", ylim=(0, 101), xlim=(1, len(pulls)))
        axes.legend(loc="center right")
    return figure


def planning_figure(found: dict[str, Any]) -> Figure:
    """Four bars for each version, with intervals."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        for axes, version in zip(figure.subplots(1, 2, sharey=True), versions(found), strict=True):
            for place, case in enumerate(CASES):
                mean, (low, high) = found[version][case]["mean"][0], (x[0] for x in found[version][case]["ci95"])
                at, colour = place + 0.5 * (place > 1), COLOURS[0] if case.endswith("common") else COLOURS[1]
                axes.bar(at, mean, color=colour, width=0.85)
                axes.errorbar(at, mean, [[mean - low], [high - mean]], color=INK, capsize=3)
            axes.set_xticks([0.5, 3.0], ["rewarded", "not rewarded"])
            axes.set_title(version)
            axes.set_ylim(0, 1)
        figure.axes[0].set_ylabel("choice repeated")
        handles = [
            matplotlib.patches.Patch(color=COLOURS[i], label=f"{kind} transition")
            for i, kind in ((0, "common"), (1, "rare"))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def transfer_figure(found: dict[str, Any]) -> Figure:
    """A table of numbers, darker where regret is higher than it need be."""
    names = list(dict.fromkeys(cell["trained"] for cell in found["cells"]))
    with matplotlib.rc_context(RC | {"axes.grid": False}):
        figure = Figure(figsize=(6.6, 5.0), layout="constrained")
        axes = figure.subplots()
        for cell in found["cells"]:
            x, y = names.index(cell["tested"]), names.index(cell["trained"])
            excess = cell["regret"] / cell["bayes_of_test"] - 1
            axes.add_patch(
                matplotlib.patches.Rectangle(
                    (x - 0.48, y - 0.48), 0.96, 0.96, color=COLOURS[1], alpha=min(0.08 + 0.3 * excess, 0.8), lw=0
                )
            )
            axes.text(
                x,
                y - 0.12,
                f"{cell['regret']:.2f}",
                ha="center",
                va="center",
                color=INK,
                fontsize=11,
                fontweight="bold",
            )
            exact = f"{cell['bayes_of_training']:.2f} · {cell['bayes_of_test']:.2f}"
            axes.text(x, y + 0.22, exact, ha="center", va="center", color=MUTED, fontsize=8)
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel="tested on", ylabel="trained on")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.spines[:].set_visible(False)
    return figure


def found_figure(found: dict[str, Any]) -> Figure:
    """What is found by the end of each episode, beside a systematic search."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        axes = figure.subplots()
        times = found["steps"] * np.arange(1, len(found["found"]["mean"]) + 1)
        line(axes, times, found["found"], 0, "RL2", 100, marker="o", markersize=3)
        search = 100 * np.array(found["found by a systematic search"])
        axes.plot(times, search, color=MUTED, ls="--", marker="o", markersize=3, label="a systematic search")
        axes.set(xlabel="steps lived", ylabel="% of tasks", ylim=(0, 101))
        axes.legend(loc="lower right")
    return figure


def maze_figure(found: dict[str, Any]) -> Figure:
    """Share of mazes whose episode took at most so many shortest ways."""
    cases = [("rl2", "first", "RL2, first"), ("rl2", "last", "RL2, last"), ("multi-task", "first", "no memory, first")]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        axes = figure.subplots()
        for place, (learner, when, words) in enumerate(cases):
            axes.plot(
                found["ways"], [100 * x for x in found[learner][when]["within"]], color=COLOURS[place], label=words
            )
        axes.axvline(1.5, color=MUTED, lw=0.8)
        axes.set(xlabel="steps of the episode, in shortest ways", ylabel="% of mazes", ylim=(0, 101), xlim=(1, 10))
        axes.legend(loc="center right")
    return figure


def gradient_figure(found: dict[str, Any]) -> Figure:
    """Learning above, adaptation below; one column for each family."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        grid = figure.subplots(2, 2)
        for column, env in zip(grid.T, AGAINST, strict=True):
            for colour, (learner, one) in enumerate(found[env].items()):
                learned = {
                    "mean": [x["mean"][0] for x in one["learning"]],
                    "ci95": [[x["ci95"][side][0] for x in one["learning"]] for side in (0, 1)],
                }
                words = {"maml": "MAML", "rl2": "RL2"}[learner]
                line(column[0], [x["env_steps"] / 1e6 for x in one["learning"]], learned, colour, words)
                for split, style in (("test", "-"), ("ood", "--")):
                    label = words + {"test": "", "ood": ", out of distribution"}[split]
                    line(column[1], one[split]["steps"], one[split], colour, label, ls=style)
                    if (alone := one.get(f"{split}, one copy")) is not None:
                        line(column[1], alone["steps"], alone, 2, label.replace("MAML", "MAML, one copy"), ls=style)
            column[0].set(title=env, xlabel="environment steps of training, millions")
            column[1].set(xlabel="environment steps lived in the task", xscale="log")
            column[1].xaxis.set_major_formatter("{x:,.0f}")
        grid[0, 0].set_ylabel("return of the last episode")
        grid[1, 0].set_ylabel("return of an episode")
        handles, labels = grid[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def line(axes: Any, x: Any, curve: dict[str, Any], colour: int, label: str, scale: float = 1.0, **style: Any) -> None:
    """A mean with its band; what is missing leaves a gap."""
    mean, low, high = (scale * np.array(y, float) for y in (curve["mean"], *curve["ci95"]))
    axes.plot(x, mean, color=COLOURS[colour], label=label, **style)
    axes.fill_between(x, low, high, color=COLOURS[colour], alpha=0.2, lw=0)


FIGURES = {
    "schedule": schedule_figure,
    "planning": planning_figure,
    "transfer": transfer_figure,
    "dark": found_figure,
    "doors": found_figure,
    "maze": maze_figure,
    "gradient": gradient_figure,
}
