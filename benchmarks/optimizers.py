"""A learned optimiser against the best rates of Adam and RMSProp: as trained, wider, longer, and where it breaks.

    python benchmarks/optimizers.py

Deep Q-learning from fresh weights on cart-poles nobody has seen, judged by the area under its curve. Each rate of Adam
and RMSProp is tried on validation tasks, for each width and length of life anew; the best is tested. The learned
optimiser has one setting for all, that of its preset. Writes `benchmarks/results/optimizers.json`.
"""

from typing import Any

import jax
import optax

import adaptax as ax
from adaptax.config import replaced
from adaptax.inner.td import TD
from adaptax.learners.dqn import DQN
from adaptax.ops.optimise import lenient
from adaptax.runs import Run
from learning import CACHE, Pair, trained, write
from starts import ARENAS, SEEDS, Arena, measured

RATES = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
CELLS = {"as trained": (64, 10_000), "twice as wide": (128, 10_000), "twice as long": (64, 20_000)}
WIDTHS, LENGTHS = (8, 16, 32, 64, 128, 256), (2_500, 5_000, 10_000, 20_000, 40_000)
ALIKE = ("steps", "n_step", "huber", "warm_up")  # what else is not by default where the learned optimiser is at work
SEED = 100  # of rates; results use seeds 0, 1, 2


class RMSProp(DQN):
    """Deep Q-learning by RMSProp (Tieleman & Hinton, 2012, "Lecture 6.5: RMSProp", Coursera)."""

    @property
    def inner(self) -> TD:
        """The same rule with another optimiser."""
        return super().inner._replace(optimiser=lenient(optax.rmsprop(self.inner_lr, decay=0.99)))


def lived(runs: list[Run], split: str, seed: int, width: int, steps: int, **tested: Any) -> dict[str, Any]:
    """Lives of so many steps by networks of so many units."""
    arena: Arena = ARENAS["cartpole"]._replace(steps=steps)
    found = measured(arena, runs, split, seed, {"hidden": width} | tested)
    return {name: found[name] for name in ("area", "area_ci95", "steps_to_enough", "seconds_a_life")}


def main() -> None:
    """Finds the rates, tests at three places, and goes on to where it breaks."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env = ax.make("cartpole")
    preset, _ = ax.preset("learned-optimizer", "cartpole")
    same = {name: getattr(preset, name) for name in ALIKE}
    by_hand = {
        name: [
            ax.train(replaced(plain, same, "learner"), env, meta_steps=1, seed=seed, seeds=1) for seed in range(SEEDS)
        ]
        for name, plain in (("adam", DQN()), ("rmsprop", RMSProp()))
    }
    learned = [trained(Pair("learned-optimizer", "cartpole", {}, ""), seed)[0] for seed in range(SEEDS)]
    cells, best = {}, {}
    for cell, (width, steps) in CELLS.items():
        tried = {
            name: {rate: lived(runs[:1], "validation", SEED, width, steps, inner_lr=rate)["area"] for rate in RATES}
            for name, runs in by_hand.items()
        }
        best[cell] = {name: max(areas, key=areas.__getitem__) for name, areas in tried.items()}
        found = {
            name: {"inner_lr": best[cell][name]} | lived(runs, "test", 1, width, steps, inner_lr=best[cell][name])
            for name, runs in by_hand.items()
        }
        cells[cell] = {"width": width, "steps": steps, "rates": tried} | found
        cells[cell] |= {"learned": lived(learned, "test", 1, width, steps)}
        print(cell, {name: round(cells[cell][name]["area"], 2) for name in (*by_hand, "learned")}, flush=True)
    places = [(width, 10_000) for width in WIDTHS] + [(64, steps) for steps in LENGTHS]
    sweep = []
    for width, steps in dict.fromkeys(places):
        adam = lived(by_hand["adam"], "test", 1, width, steps, inner_lr=best["as trained"]["adam"])
        sweep.append({"width": width, "steps": steps, "adam": adam, "learned": lived(learned, "test", 1, width, steps)})
        print(sweep[-1], flush=True)
    write("optimizers", {"cells": cells, "sweep": sweep}, "", "optimizers")


if __name__ == "__main__":
    main()
