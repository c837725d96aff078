"""The page "Which solved task should you start from?", from `benchmarks/results/similarity.json`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = {
    "oracle": "the truth itself",
    "siamese descriptor asymmetric": "siamese network, told the tables, asymmetric",
    "siamese descriptor symmetric": "siamese network, told the tables, symmetric",
    "posterior": "exact posterior means of 100 random steps in each task, and the regret between these",
    "siamese steps asymmetric": "siamese network, told these means and how often all was tried, asymmetric",
    "siamese steps symmetric": "siamese network, told these means and how often all was tried, symmetric",
    "bisimulation": "bisimulation-type bound, from the tables",
    "euclidean": "Euclidean distance of the tables",
    "random": "at random",
}
TEXT = """# Which solved task should you start from?

A library of solved tasks is worth as much as one's sense of which of them a new task is like. This is a benchmark of
that sense with an exact ground truth: nobody trains anything to score a distance.

**Tasks.** 1,000 sources and 1,000 targets, random MDPs of 10 states, 5 actions and 10 steps
([tabular-mdp](environments/tabular-mdp.md)); sources are drawn as training tasks are, targets from the test split.

**Truth.** The regret of transfer $d(M, M') = V^*_{{M'}} - V^{{\\pi^*_M}}_{{M'}}$ in an episode from the first state, by
dynamic programming (`adaptax.references.transfer`). It is no metric: there and back differ. The best policy of a target
earns {best:.2f} on average.

**Measures.** *Rank correlation* (Spearman) with the truth over all sources, within each target and then averaged: over
all pairs at once a distance is rewarded for knowing which targets are hard, which helps nobody to choose. *Regret of
the nearest*: what its nearest source in a library of 10 or of 100 falls short of in the target. *Share*: what it earns
of the best.

{table}

Means over targets with 95 % intervals; of siamese networks over {seeds} trainings as well
([all numbers](../benchmarks/results/similarity.json)). They were taught exact regrets between {pairs:,} pairs of
training tasks; none of the sources or targets is among these.

{words}

## Your own distance

```
python benchmarks/similarity.py make tasks.npz       # descriptors, tables and random steps of all tasks
python benchmarks/similarity.py score distances.npy  # an array [1000 targets, 1000 sources]; nearer is smaller
```

In deep Q-learning the distance is what [metric-dqn](learners/metric-dqn.md) learns, from what transfer earned.
"""


def page(results: Path, table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The page."""
    data = json.loads((results / "similarity.json").read_text(encoding="utf-8"))
    entries = data["entries"]
    rows = [[words, *row(entries[name])] for name, words in NAMES.items()]
    head = ["distance", "rank correlation", "regret of 10", "regret of 100", "share of 10", "share of 100"]
    seeds = len(entries["siamese steps symmetric"]["rank_correlation"]["seeds"])
    text = TEXT.format(
        best=data["best"], table=table(head, rows), seeds=seeds, pairs=data["pairs"], words=conclusion(entries)
    )
    return text


def row(entry: dict[str, Any]) -> list[str]:
    """One distance."""
    rank, ten, hundred = (entry[name] for name in ("rank_correlation", "regret_of_10", "regret_of_100"))
    shares = [f"{entry[f'share_of_{size}']['mean']:.1%}" for size in (10, 100)]
    return [with_interval(rank), with_interval(ten), with_interval(hundred), *shares]


def with_interval(measure: dict[str, Any]) -> str:
    """A mean and its interval."""
    mean, low, high = (round(x, 2) + 0.0 for x in (measure["mean"], *measure["ci95"]))  # no -0.00
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def conclusion(entries: dict[str, Any]) -> str:
    """What the table says, in words."""
    rank = lambda name: entries[name]["rank_correlation"]["mean"]
    one_way, both, steps = (
        rank(f"siamese {name}") for name in ("descriptor asymmetric", "descriptor symmetric", "steps asymmetric")
    )
    return (
        f"Told the tables, an asymmetric siamese network reaches a rank correlation of {one_way:.2f}, a symmetric one "
        f"{both:.2f}. From 100 random steps in each task an asymmetric one reaches {steps:.2f}, which is "
        f"{steps / rank('posterior'):.0%} of what the exact posterior of the same steps gets ({rank('posterior'):.2f})."
    )
