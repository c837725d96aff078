"""The page "Seven ways to start a Q-network" and its pictures, from `benchmarks/results/starts-*.json`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from adaptax.report.style import COLOURS, INK, MUTED, RC
from committed import committed

ARENAS = {"cartpole": "Cart-pole", "maze": "Mazes of 3 rooms a side", "maze-4": "Mazes of 4 rooms a side"}
WAYS = {  # learner -> what is carried from task to task
    "meta-dqn": "one network for all tasks that reads what is known of the task beside the state",
    "warm-start": "the network that earlier tasks ended with, or an average of those",
    "q-init": "a start from which few steps of TD learning go far (MAML, FOMAML, Reptile)",
    "hyper-dqn": "a network that reads what is known of the task, a row or a sequence, and puts out all weights of its "
    "Q-network",
    "metric-dqn": "a library of solved tasks, and a learned distance that says which of them to begin with",
    "selector": "a pool of Q-networks, and a meta-model that predicts which of them fits",
    "learned-optimizer": "no network but the optimiser that trains it",
}
OTHERS = {  # what they are compared with
    "scratch": "nothing: the learner [dqn](learners/dqn.md), deep Q-learning from random weights",
    "multi-task": "one [policy for all tasks](learners/multi-task.md), fine-tuned by policy gradient in the new one",
    "maml": "a start for policies from which few steps of policy gradient go far ([MAML](learners/maml.md))",
    "rl2": "a policy [with a memory](learners/rl2.md), which explores and remembers; its weights stay as they are",
    "oracle": "what can be reached: the shortest way in a maze, a pole that stands to the end",
}
VARIANTS = {  # entry -> words
    "hyper-dqn, not told": "`hyper-dqn`, after a first phase of random steps",
    "meta-dqn, not told": "`meta-dqn`, after a first phase of random steps",
    "metric-dqn, not told": "`metric-dqn`, after a first phase of random steps",
    "hyper-dqn, two episodes": "`hyper-dqn`, after 16 random steps: not quite two episodes",
    "hyper-dqn, two episodes in order": "the same 16 steps, read one after the other by a recurrent network",
    "meta-dqn, search": "`meta-dqn`, its description searched: of 512 known ones that of the least TD error",
    "meta-dqn, search in two episodes": "the same, after 16 random steps",
    "meta-dqn, far search": "`meta-dqn`, searched farther: 50 steps down the TD error from each of 32",
    "meta-dqn, value": "`meta-dqn`, of 512 descriptions that of the highest value",
    "meta-dqn, far value": "`meta-dqn`, 50 steps up the value from each of 32",
    "metric-dqn, averages": "`metric-dqn`, the ten nearest networks averaged, all grown from one",
    "metric-dqn, averages of strangers": "the same, each grown from random weights of its own",
    "selector, charged for returns": "`selector`, its members charged for errors of returns, not for TD errors",
    "selector, charged for TD errors": "`selector`, its members charged for TD errors, not for errors of returns",
    "selector, policies": "`selector`, its members policies, trained by reward-weighted likelihood",
    "meta-dqn, misled": "`meta-dqn` as it was trained, told of another task",
    "hyper-dqn, misled": "`hyper-dqn` as it was trained, told of another task",
    "metric-dqn, misled": "`metric-dqn` as it was trained, told of another task",
    "meta-dqn, shuffled": "`meta-dqn`, told of other tasks in training too",
    "hyper-dqn, shuffled": "`hyper-dqn`, told of other tasks in training too",
    "metric-dqn, shuffled": "`metric-dqn`, told of other tasks in training too",
}
TOLD = {"always": "in training and in use", "training": "in training", "never": "no"}
TEXT = """# Seven ways to start a Q-network

Deep Q-learning begins each task with random weights, and knows nothing. Who has solved a thousand tasks of a family
should begin the next one better. There are seven ways to do that here. What an agent goes through in one task, from its
birth on, is a *life* here; training is made of *meta-steps*: many lives in tasks of the training, and one step of what
they teach. In a life all seven learn by one inner loop: a Q-network of two layers, a replay, a target network and an
exploring share of random actions ([what they share](../src/adaptax/inner/td.py)). They differ in what is carried from
task to task:

{ways}

They are compared with

{others}

`meta-dqn`, `hyper-dqn` and `metric-dqn` need something to be known of a new task. By default that is its *descriptor*:
what the family's `describe` says of it, the map of a maze or the physics of a cart. Where nobody can tell, set
`features` to `statistics` (second moments of observations, actions and rewards) or `encoder` (a network that was
trained to read them): then each life begins with a phase of random steps, and these tell. (A *phase* is a stretch of
steps at whose end an agent is judged: where nothing else is said, 200 steps on the cart-pole, and 120 in mazes of 3
rooms a side.) With `exploring` there are more such phases; from the second on, the network acts that was made from the
steps so far.

```
adaptax train hyper-dqn cartpole --out runs/told                        # told what the cart is like
adaptax train hyper-dqn cartpole --preset not-told --out runs/not-told  # finds out by itself
adaptax train q-init cartpole --out runs/q-init                         # knows nothing of a task, and starts well
adaptax evaluate runs/not-told --episodes 50 --tasks 200                # lives of 50 x 200 steps, as on this page
adaptax train hyper-dqn maze --env.rooms 3 --env.view position          # ten minutes: the mazes of this page
```

In Python, where `env` may be an environment [of your own](your-own-family.md) whose actions can be counted:

```python
import adaptax as ax

env = ax.make("grid-navigation")
run = ax.train(ax.HyperDQN(features="statistics"), env, meta_steps=200)
print(ax.evaluate(run, tasks=16, episodes=64).table())
```

Where returns are far above one, set `huber` to about the largest ([why](learners/dqn.md)); the presets do.

## Which to choose

{advice}

## How it is measured

Each entry was trained with {seeds} seeds (in mazes of 4 rooms, one) by its preset; presets come from six trials each on
validation tasks, on mazes four (`benchmarks/tuning.py ENV --starts`; on the cart-pole `multi-task`, `maml` and `oracle`
have theirs from an earlier comparison, six trials too). {untuned}What stands in no grid was set by hand on validation
tasks, with more looks at the seven than at the baselines. Then it lives in {tasks} test tasks, up to a budget of
environment steps.

- *What is drawn* is the return of a greedy episode, from a copy of the agent as it stands after so many steps: once a
  phase, so that who adapts once in 2,000 steps, as `maml` in ten copies, has few points. What an agent earns as it
  lives is less, for it explores; `evaluate` prints both.
- *Speed* is the first such point at which the mean reaches nine tenths of the oracle.
- *Area* is the mean of the curve over the budget; in brackets its 95 % interval over seeds and tasks. With three seeds
  that is wide where they differ, and may reach beyond what can be earned. Mazes of 3 rooms have 192 maps, of which 16
  are for tests: these 200 tasks are less apart than 200 independent ones, and intervals there somewhat too narrow.
- *Out of distribution* is the area on tasks outside the range of training.
- *Cost* is the environment steps and the seconds of training (the median seed's, on the machine of the results, which
  did other work beside it), and operations of matrix products: to train, and in one life up to the budget. Of a life
  also the seconds, where {tasks} are lived side by side.

{arenas}

{explored}{learned}## Make it again

```
python benchmarks/tuning.py cartpole --starts
python benchmarks/starts.py cartpole
python benchmarks/tuning.py maze --starts
python benchmarks/starts.py maze
python benchmarks/starts.py maze-4
python benchmarks/explored.py maze
python benchmarks/explored.py tabular-mdp
python benchmarks/optimizers.py cartpole
python benchmarks/optimizers.py maze-4
python benchmarks/pool.py
python benchmarks/forgetting.py
```
"""


def beside(learner: str) -> str:
    """Where a learner's page should send those who ask how it compares."""
    if learner not in {*WAYS, "dqn"}:
        return ""
    more = ", and its distance with others [here](../similarity.md)" if learner == "metric-dqn" else ""
    return f"It is compared with the other ways to start a Q-network [on one page](../seven-ways.md){more}."


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """Arena -> its JSON, for those that were measured."""
    return {name: data for name in ARENAS if (data := committed(folder, f"starts-{name}"))}


def page(folder: Path, table: Callable[[list[str], list[list[str]]], str]) -> str | None:
    """The page, once something was measured."""
    found = results(folder)
    if not found:
        return None
    first = next(iter(found.values()))
    ways = table(["learner", "carried from task to task"], [[f"[{x}](learners/{x}.md)", y] for x, y in WAYS.items()])
    others = table(["", "carried from task to task"], [[f"`{x}`", y] for x, y in OTHERS.items()])
    parts = [arena(name, data, table) for name, data in found.items()]
    seeds = max(entry["seeds"] for entry in first["entries"].values())
    words = {"arenas": "\n\n".join(parts), "explored": explored(folder, table), "untuned": untuned(folder, found)}
    words |= {"learned": learned(folder, table), "advice": ADVICE, "others": others}
    return TEXT.format(ways=ways, seeds=seeds, tasks=first["tasks"], **words)


def untuned(folder: Path, found: dict[str, dict[str, Any]]) -> str:
    """Which of the seven have no trials yet where they were measured."""
    said = []
    for name, data in found.items():
        tried = committed(folder, f"tuning-{data['environment']}") or {}
        missing = [x for x in WAYS if x in data["entries"] and x not in tried]
        if missing:
            said.append(f"{' and '.join(f'`{x}`' for x in missing)} has its preset from first looks ({ARENAS[name]}). ")
    return "".join(said)


def explored(folder: Path, table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The section on what is made of what was explored."""
    head = ["", "steps", "the network", "the best of the same steps", "share", "who knows the task"]
    rows = []
    for env, words in EXPLORED.items():
        found = committed(folder, f"explored-{env}") or {"steps": []}
        for i, steps in enumerate(found["steps"]):
            network, best = (f"{found[x]['mean'][i]:.3g}" for x in ("network", "best"))
            share = " / ".join(f"{100 * each[i]:.3g}" for each in found["share_each"])
            told = f"{found['told']['mean'][0]:.3g}"
            rows.append(["" if i else words, f"{steps:,}", network, best, f"{share} %", told])
    return EXPLORED_TEXT.format(table=table(head, rows)) if rows else ""


def learned(folder: Path, table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The section on the learned optimiser."""
    rows, tasks = [], 0
    for arena, (words, places) in OPTIMISED.items():
        found = committed(folder, f"optimizers-{arena}") or {"tasks": tasks, "cells": {}}
        tasks = found["tasks"]
        for cell, of in found["cells"].items():
            by_hand = [f"{of[name]['area']:.{places}f} ({of[name]['inner_lr']:g})" for name in ("adam", "rmsprop")]
            more = [f"{x:+.{places}f}" for x in (of["adam"]["gain"], *of["adam"]["gain_ci95"])]
            what = f"{words}, {cell}: {of['width']} units, {of['steps']:,} steps"
            rows.append([what, *by_hand, f"{of['learned']['area']:.{places}f}", f"{more[0]} ({more[1]} to {more[2]})"])
    head = ["", "Adam (its best rate)", "RMSProp (its best rate)", "learned", "more than Adam"]
    return LEARNED_TEXT.format(table=table(head, rows), tasks=tasks) if rows else ""


def optimizers_figure(found: dict[str, Any]) -> Figure:
    """Networks of other widths on the left, longer lives on the right."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(9.2, 3.8), layout="constrained")
        wide, long = figure.subplots(1, 2)
        widths = [part["width"] for part in found["widths"]]
        for name, label, colour in (("learned", "learned", COLOURS[0]), ("adam", "Adam, rate as best at 64", MUTED)):
            mean = [part[name]["area"] for part in found["widths"]]
            low, high = np.array([part[name]["area_ci95"] for part in found["widths"]]).T
            wide.plot(widths, mean, color=colour, marker="o", ms=4, label=label)
            wide.fill_between(widths, low, high, color=colour, alpha=0.16, lw=0)
            curve(
                long, found["long"][name] | {"steps": found["long"]["steps"]}, colour, label, found["long"]["steps"][-1]
            )
        wide.axvline(64, color=INK, lw=1, ls=(0, (4, 3)))
        wide.set_xscale("log", base=2)
        wide.xaxis.set_major_formatter("{x:.0f}")
        wide.set(xlabel="units in each layer", ylabel="area under the curve to 10,000 steps")
        long.axvline(10_000, color=INK, lw=1, ls=(0, (4, 3)), label="as trained")
        long.xaxis.set_major_formatter("{x:,.0f}")
        long.locator_params(axis="x", nbins=4)
        long.set(xlabel="environment steps in the new task", ylabel="return of a greedy episode")
        long.legend(loc="lower right")
    return figure


def arena(name: str, data: dict[str, Any], table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The section of one arena."""
    entries = data["entries"]
    head = ["", "told of the task", "before any step", f"speed (of {data['budget']:,})", "area", "out of distribution"]
    head += ["to train: steps", "seconds", "TFLOP", "a life: GFLOP", "seconds"]
    rows = lambda names: table(head, [row(entries[x], x) for x in names if x in entries])
    oracle = next(iter(entries.values()))["test"]["oracle"]
    absent = [f"`{x}`" for x in [*WAYS, *OTHERS] if x not in entries and x != "oracle"]
    parts = [
        f"## {ARENAS[name]}",
        f"![Return against environment steps in new tasks: {ARENAS[name]}](images/starts-{name}.svg)",
        f"The oracle earns {oracle:.3g}. {luck(data)}[All numbers](../benchmarks/results/starts-{name}.json)."
        + (f" Not measured here yet: {', '.join(absent)}." if absent else ""),
        rows([*WAYS, *OTHERS]),
    ]
    if entries.keys() & VARIANTS.keys():
        parts += ["In other settings, told less or told what is wrong:", rows(VARIANTS)]
    return "\n\n".join([*parts, NOTES[name]])


def luck(data: dict[str, Any]) -> str:
    """What must happen before anything can be learned, where reward is rare."""
    if not (found := data.get("luck")):
        return ""
    return (
        f"Until random actions meet the goal for the first time, {found['0.5']:,.0f} steps go by in the median maze, "
        f"{found['0.9']:,.0f} or more in every tenth (expected, exact); who explores at random cannot learn sooner. "
    )


def row(entry: dict[str, Any], name: str) -> list[str]:
    """One entry."""
    test, ood = entry["test"], entry["ood"]
    low, high = test["area_ci95"]
    speed = test["steps_to_enough"]
    told = "in training" if entry["tested"] else TOLD[entry["privileged"]]
    if entry["shuffled"] or entry["misled"]:
        told = f"wrongly, {told}" if entry["shuffled"] else "rightly in training, wrongly in use"
    if entry["learner"] == "dqn":
        spent = ["nothing", "", ""]
    elif entry["tested"] or entry["misled"]:
        spent = [f"as `{entry['learner']}`", "", ""]
    else:
        millions = float(f"{entry['train_steps'] / 1e6:.2g}")
        spent = [f"{millions:g} M", f"{np.median(entry['train_seconds']):.0f}", f"{entry['train_flops'] / 1e12:.2g}"]
    return [
        VARIANTS.get(name, f"`{name}`"),
        told,
        f"{test['phase_return'][0]:.3g}",
        "not reached" if speed is None else f"{speed:,}",
        "" if entry.get("steps") else f"{test['area']:.3g} ({low:.3g} to {high:.3g})",
        "" if entry.get("steps") else f"{ood['area']:.3g}",
        *spent,
        f"{entry['life_flops'] / 1e9:.2g}",
        f"{test['seconds_a_life']:.2g}",
    ]


def starts_figure(data: dict[str, Any]) -> Figure:
    """The seven ways on the left; what they must beat, and what knows less, on the right."""
    entries = data["entries"]
    others = ["hyper-dqn, not told", "meta-dqn, not told", "metric-dqn, not told", "multi-task", "maml", "rl2"]
    # a learner has one colour; policies those of learners that are not drawn beside them
    colours = dict(zip([*WAYS], COLOURS, strict=False))
    colours |= {name: colours[name.split(",")[0]] for name in others[:3]}
    colours |= dict(zip(others[3:], (colours[x] for x in ("warm-start", "q-init", "selector")), strict=True))
    best = next(iter(entries.values()))["test"]["oracle"]
    least = min(min(entry["test"]["phase_return"]) for entry in entries.values())
    room = 0.04 * (best - least)  # bands reach beyond what can be earned
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(9.2, 4.4), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, names in zip(both, ([*WAYS], others), strict=True):
            for name in (x for x in names if x in entries):
                curve(axes, entries[name]["test"], colours[name], name, data["budget"])
            if "scratch" in entries:
                curve(axes, entries["scratch"]["test"], MUTED, "scratch", data["budget"])
            axes.axhline(best, color=INK, lw=1, ls=(0, (4, 3)), label="oracle")
            axes.set_xscale("symlog", linthresh=100, linscale=0.4)
            axes.set(xlabel="environment steps in the new task", xlim=(0, data["budget"]))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1.6)
        both[0].set(ylabel="return of a greedy episode", ylim=(least - room, best + room))
    return figure


def curve(axes: Any, found: dict[str, Any], colour: str, label: str, budget: int) -> None:
    """A mean with its band, in stairs: between two points an agent is as it stands, and so is its area counted."""
    steps = np.array(found["steps"])
    kept = steps <= budget
    low, high = (np.array(x)[kept] for x in found["ci95"])
    to_end = lambda values: np.append(values, values[-1])  # an agent is as it stands, to the budget
    at, mean = np.append(steps[kept], budget), np.array(found["phase_return"])[kept]
    axes.plot(at, to_end(mean), color=colour, label=label, drawstyle="steps-post")
    axes.fill_between(at, to_end(low), to_end(high), color=colour, alpha=0.13, lw=0, step="post")


OPTIMISED = {"cartpole": ("cart-pole", 1), "maze-4": ("mazes of 4 rooms", 3)}  # where, and places of its areas
EXPLORED = {
    "tabular-mdp": "`meta-dqn` with an encoder, unknown MDPs of 10 states and 5 actions",
    "maze": "`hyper-dqn`, mazes of 3 rooms a side",
}
EXPLORED_TEXT = """## What is made of exploration

Nobody is told the task; the first phases of a life explore it. What a network then earns in an episode stands beside
the best that can be made of the very same steps: in MDPs by a planner that knows how MDPs are drawn and acts as if the
posterior mean were the MDP; in mazes by an agent that knows how mazes are drawn and what these steps revealed, and in
the episode remembers what it runs into. Both are computed exactly, on test tasks (`benchmarks/explored.py`); shares are
those of three seeds. What little the first steps in a maze reveal is made little of (a fifth of what can be); of 480
steps, a seventh of what scratch needs, 95 % or more.

{table}

"""

LEARNED_TEXT = """## An optimiser that was learned, beside those made by hand

The same deep Q-learning from fresh weights, with other optimisers. Of Adam and RMSProp each line has the best of five
rates, found on validation tasks for its width and its length of life; the learned optimiser is as it was trained in
either family, on networks of 64 units and lives as long as in the first line. Areas on {tasks} test tasks with three
seeds; *more* is the difference in the same tasks, with its interval.

{table}

On the cart-pole, in networks of other widths (left) and in lives four times as long (right):

![Where the learned optimiser breaks](images/optimizers.svg)

- **It is as good as the best hand-made rates, not better.** At the width that it was trained at, no difference to Adam
  or RMSProp is beyond its interval, though their rates were found anew for each line, and the learned optimiser has one
  setting for all. RMSProp is better at twice the width.
- **Whether it holds at other widths depends on the tasks.** On the cart-pole it does: at 16 units it is far above Adam
  with the rate that is best at 64. In mazes it does not: at 128 units its area is 0.12 less, and Adam's is no less. The
  same step in each coordinate moves a wider network further, and in mazes that is too far: of Adam too the rate 0.001
  has 0.39 at 64 units and 0.31 at 128 (validation mazes), where 0.0003 goes on to serve.
- **Nothing that was tried does better** on the cart-pole (looks of one training each, whose numbers are not kept).
  Longer unrolls (200 updates) do without the loss that is described below and without the gain before it. To begin the
  training as RMSProp with a long memory in place of Adam, and to evolve on the returns of whole lives in place of
  unrolls, made no difference beyond one training's uncertainty. It seems that not the steps limit this curve, but what
  has been met by then.
- **It breaks in the long run.** On the cart-pole, after 1,500 steps it earns 48 more than Adam, from 3,500 to 12,000
  some 5 less, and again a little less beyond 24,000. Its gradient comes from unrolls of 75 updates, which ask what a
  step does soon: so it learned to make large ones, and not to make smaller ones late. The *speed* of
  `learned-optimizer` in the table above is that of this plateau, which lies at nine tenths of the oracle.

"""

NOTES = {
    "cartpole": """What is to be seen here:

- **Who knows what to know need not learn.** `hyper-dqn`, `meta-dqn` and `metric-dqn` balance the pole before their
  first gradient step. That comes from knowing the task: the same three, told of another one, earn 111 to 115. And who
  was told of other tasks in training too, and could learn that what is told says nothing, earns 82 to 100 then, less
  than `multi-task` without adaptation (136).
- **Two short falls are enough.** A pole under random forces falls after eight or nine steps. Of two such episodes
  `hyper-dqn` makes a network that balances, whether it is given their statistics or reads them step by step.
- **Learning on is not free.** A network that was made well is spoilt by large steps on little data: `meta-dqn` (step
  size 0.003) falls below where it began, `hyper-dqn` (0.001) does not, where it is told the task. In all three settings
  of `hyper-dqn` that were tried with both step sizes, the smaller one was better.
- **A description can be searched, not far from those of known tasks.** Of the descriptions of 512 tasks of the training
  the one whose TD error is least, after one step down, serves as well as the true one, and 16 steps are enough to tell.
  Fifty steps down from 32 of them find no better ones.
- **Wishing does not help.** To take the description z of highest value Q(s, a, z) finds the task that one would like to
  be in, and acts as if it were in that one; it asks rewards nothing. Of 512 descriptions the one of the highest value
  earns 103 (that of any other task 114, the true one 198), and the further the ascent goes, the less.
- **A chain forgets at once.** In `warm-start` each task begins where the one before ended (`rate` 1), or at an average
  of such ends (`rate` 0.1). The start that a chain of a hundred tasks leaves (`rate` 1) earns 142 in the last of them
  before any update, 90 in the one before, 74 in the third from the end and 60 in tasks that no chain has seen ([64
  chains](../benchmarks/results/forgetting.json); intervals of about 20 either way): it knows the direction of the last,
  and little more. An average (`rate` 0.1) earns 78, 99 and 79 in the last three, 62 in the fiftieth from the end and 46
  in unseen ones.
- **`selector` sees whose task it is.** Each of its two members has learned one direction, and [neither holds the pole
  in both halves of the tasks](../benchmarks/results/pool.json). After 200 steps it earns 172, where the best member for
  each task earns 176. It is at nine tenths after 2,400, 600 and 200 steps; what the slow seed lacks is not the choice
  but the pool, whose members earn 163 and 130 there in what they own. More members share the lives of one kind, and are
  no better: areas of 192 with two, 187 with four, 188 with eight (validation tasks, one seed).
- **What members are charged for decides who is chosen**: the one whose errors are expected to be least. Errors of
  returns mislead here, for a return is what the actions of whoever acted led to: while the wrong member acts, it is
  low, and the member that knows the task expected more than one that expects to fall. Of the best members of either
  half, the one that owns the task is charged less for its TD error in 23 of 24 cases, for the error of returns in 17,
  and often by a few per cent. Charged for returns, pools learn as much (their best members earn 168, 200 and 183) and
  are used worse: 100 after 200 steps, and nine tenths no sooner than from scratch. TD errors mislead where reward is
  rare: who expects nothing makes none. In a corridor of which only the far end pays, such a member is charged less than
  one that knows the way, and would be chosen and go nowhere ([worked out in a
  test](../tests/learners/test_selector.py)). So it depends on the tasks, and `loss` says which. On mazes, where it
  should matter, we cannot show it: no member serves there, and pools charged for TD errors are at nine tenths after
  11,760 steps, those charged for returns after 8,280, which is within one seed's luck.
- **A pool can be of policies**, which are charged for how unlikely they find what paid. Both of the two are used, and
  what they earn is 137 after 200 steps; but no TD learning goes on from a policy, and there it stays.
- **Memory is the rival.** `rl2` is told nothing and learns no Q-network: within its first episode it finds out what
  pushes where. Two of three seeds are at nine tenths after 200 steps, before `warm-start` or `q-init` make their first
  update; the third stays below. What it does later is no better, and out of distribution it is worse.
- **An average of strangers is none of them.** The ten nearest networks averaged earn 165 before any step where they
  grew from the same random weights, and 50 where each grew from its own. Of strangers, more neighbours are worse: areas
  of 193, 181 and 171 with 1, 3 and 10; of networks that grew from one, they cost little: 194, 192 and 191
  ([the trials](../benchmarks/results/tuning-cartpole.json): validation tasks, one seed).
""",
    "maze": """The observation is the position alone: the map, start and goal are only in the descriptor, which is what
`hyper-dqn`, `meta-dqn` and `metric-dqn` are told. What is to be seen here:

- **A map is enough.** Made from it, the networks of `hyper-dqn` and `meta-dqn` walk nine tenths of what the shortest
  ways pay before their first gradient step, in mazes that nobody has walked.
- **A library finds most, and trying finds the rest.** Networks that were made for other mazes seldom solve this one
  (one of 16, as `selector` has them, in 7 to 33 % of the mazes). The entry that `metric-dqn` thinks nearest earns 0.77
  at once; it tries one entry an episode, and each failure tells what entries like it are worth here ([Cully et al.,
  2015](https://arxiv.org/abs/1407.3501)), so that the second is at 0.85 and the sixth at 0.90.
- **It is the map that does it.** Told of other mazes, in use alone or in training too, the three begin at -0.50 to
  -0.60, below `multi-task`, and learn more slowly than from scratch: what was made for another maze is no good start.
- **Learning on is not free** here either: the first updates, on few experiences, take `meta-dqn` from 0.90 to 0.83 and
  `metric-dqn` from 0.91 to 0.85 for a while; `hyper-dqn`, with a third of their step size, loses nothing.
- **What all mazes have in common is little.** `q-init` and `warm-start` carry only that from one to the next, and where
  the observation is a position it says next to nothing of where to go: they are at nine tenths after 3,000 and 3,360
  steps, from scratch after 3,480.
- **Mazes are not of a few kinds**, and so `selector` is worse here than to begin with nothing: in 7 to 33 % of the
  mazes does [any of its 16 members](../benchmarks/results/pool.json) find the goal. From the chosen one deep Q-learning
  is as fast as from scratch at first, and then falls behind: 0.85 after 12,000 steps, where scratch is at 0.92, and
  nine tenths after 8,280 steps, in one seed never. The chain without its average does too (`warm-start` with `rate` 1:
  an area of 0.42 on validation tasks, one seed): a network that was trained long on other mazes learns the next one
  worse.
- **An optimiser does not find the goal sooner.** `learned-optimizer` has the curve of scratch: by random steps both
  meet the goal when they meet it, and Adam's rate is a good one. Out of distribution, in mazes of one room more for
  which neither was set, it learns more (0.77 after 12,000 steps; scratch 0.66).
- **A search can be learned.** `rl2` is told nothing, and its weights stay as they are: its first episode is a search
  that remembers what it ran into, and earns 0.84 (*before any step* is before that episode); in the second it knows the
  way (0.89). Later, in lives longer than those it was trained in, it forgets some of it (0.83 at the end). In mazes of
  one room more its search is lost, and earns -0.29.
- **Policy gradients ask for many episodes.** `maml`, which adapts once in 1,200 steps, is at 0.64 after two times and
  at nine tenths after six; `multi-task` fine-tuned by the same gradients stays below zero.
- **Out of distribution is out of reach.** Mazes of one room more have places whose observation was never seen in
  training. There, from scratch one learns faster than `hyper-dqn` and `meta-dqn`, which begin with a wrong
  conviction and explore less; `metric-dqn`, which tries before it trusts, is about as good.
""",
    "maze-4": """One seed. Presets are those of mazes of 3 rooms, but for `rooms-4` of `hyper-dqn`. What is to be seen
here:

- **Larger mazes ask for more training.** `hyper-dqn` earns 0.71 before its first gradient step, 78 % of the oracle, and
  is at nine tenths after 1,728 steps. No other way gets there in 20,000, but for `learned-optimizer`, which touches
  nine tenths after 17,088; from scratch one is at 0.74 by then. On validation mazes (looks of one training each, whose
  numbers are not kept) it began at -0.23 as it is trained for 3 rooms, at 0.03 with more units that make smaller
  networks and half the step size, at 0.31 with 2,400 meta-steps in place of 1,500, and at 0.44 with eight phases in a
  training life in place of one: there are 100,352 maps, and few lives of one phase meet the goal. With both it earned
  0.63 in these test mazes, and with 3,200 meta-steps, as it stands here, 0.71. In mazes of the training it is no
  better: it has not learned all yet, and fifteen minutes of training are what it was given.
- `meta-dqn`, trained as for 3 rooms, begins at -0.46, and learns on to an area of 0.51: between scratch and
  `hyper-dqn`.
- **A library does not hold so many maps.** `metric-dqn` with 2,560 entries begins at -0.87, its tries find little, and
  what it tries costs time: it is no better than scratch.
- **What all mazes have in common is little** here too: `q-init`, `warm-start` and scratch are within each other's
  intervals, and `selector` is worse.
- **An optimiser does not find the goal sooner** here either: `learned-optimizer` has an area of 0.49 in this table and
  scratch of 0.42, but that is with the rate that scratch had in 3 rooms, and one training. [With rates found for these
  mazes](#an-optimiser-that-was-learned-beside-those-made-by-hand), and three trainings, it is 0.48 beside 0.44 and
  0.47. (Its training of forty minutes ran beside others; two more on the free machine took fourteen.)
- **A search that was learned for more rooms finds less**: `rl2` earns 0.23 in its first episode, and 0.60 at best.
""",
}

ADVICE = """| what you have | begin with |
|---|---|
| numbers that tell tasks apart, of new tasks too | `hyper-dqn`; `meta-dqn` for a cheaper training |
| none, but many tasks to train on | `hyper-dqn` with `features` set to `statistics` (presets called `not-told`) |
| such numbers in training only: the simulator knows, the plant does not say | the same; or `meta-dqn`, `search` `td` |
| no numbers, and few steps to train with | `warm-start` with its average (`rate` 0.1), or `q-init` by Reptile |
| tasks of a few kinds, and not even a first phase to spare for random actions | `selector`, or `rl2` |
| described tasks, of which those that were solved are kept anyway | `metric-dqn` |

All seven choose among actions that can be counted; for others, and where nothing has to be learned off-policy, compare
[`rl2`](learners/rl2.md) and [`maml`](learners/maml.md). `warm-start` with its average is Reptile with one task at a
time, and was as good for a tenth of the operations; of Reptile, FOMAML and MAML, Reptile was the best in all trials.
Where the start is good, take a smaller step size than is best from scratch.
"""
