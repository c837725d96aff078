"""Which solved task should you start from? A benchmark of distances between tasks with an exact ground truth.

    python benchmarks/similarity.py                      # our entries, results/similarity.json
    python benchmarks/similarity.py make tasks.npz       # the tasks: descriptors, tables, and steps lived in each
    python benchmarks/similarity.py score distances.npy  # your own, [1000 targets, 1000 sources]; nearer is smaller

Tasks are random tabular MDPs (RL2's: 10 states, 5 actions, episodes of 10 steps). The truth is the regret of taking the
best policy of a source to a target, by dynamic programming. A distance is scored by its rank correlation with that
truth over the sources, within each target; and by what its nearest source earns in the target, of libraries of 10 and
of 100 sources.
"""

import argparse
import json
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.spatial.distance import cdist

import adaptax as ax
from adaptax.nn.siamese import siamese
from adaptax.ops.optimise import clipped_adam
from adaptax.ops.statistics import bootstrap_mean
from adaptax.references.planning import Tables, value_iteration
from adaptax.references.transfer import model_distance, transfer_regret, transfer_values
from learning import write

ENV = ax.make("tabular-mdp")
SOURCES, TARGETS, SEED = 1000, 1000, 20_000
STEPS = 100  # random steps in each task, for who is told nothing
LIBRARIES = (10, 100)
BLOCK, BLOCKS, EPOCHS = 64, 1500, 8  # training tasks come in blocks; all pairs within a block have a known regret
SEEDS = 3


class Tasks(NamedTuple):
    """Tasks, what tells them apart, and random steps in them."""

    tables: Tables
    descriptor: np.ndarray  # [N, F]
    steps: np.ndarray  # [N, STEPS, 4]: state, action, reward, next state


@partial(jax.jit, static_argnums=(1, 2))
def _made(key: jax.Array, count: int, split: str) -> tuple[Any, jax.Array, jax.Array]:
    key_task, key_step = jax.random.split(key)
    tasks = jax.vmap(ENV.tasks.sampler(split))(jax.random.split(key_task, count))

    def one(task: Any, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, (STEPS, 2))

        def step(now: Any, keys: jax.Array) -> tuple[Any, jax.Array]:
            state, before = now
            action = jax.random.randint(keys[0], (), 0, ENV.actions)
            state, after, reward, _, over = ENV.step(task, state, action, keys[1])
            fresh, first = ENV.reset(task, keys[0])
            again = jax.tree.map(lambda x, y: jnp.where(over, x, y), (fresh, first), (state, after))
            return again, jnp.stack([before.astype(float), action.astype(float), reward, after.astype(float)])

        return jax.lax.scan(step, ENV.reset(task, key), keys)[1]

    return tasks, jax.vmap(ENV.describe)(tasks), jax.vmap(one)(tasks, jax.random.split(key_step, count))


def make(seed: int, count: int, split: str) -> Tasks:
    """So many tasks of a split."""
    tasks, descriptor, steps = _made(jax.random.key(seed), count, split)
    tables = Tables(np.asarray(tasks.transition, float), np.asarray(tasks.reward, float))
    return Tasks(tables, np.asarray(descriptor), np.asarray(steps))


def problem() -> tuple[Tasks, Tasks]:
    """The sources, from training tasks, and the targets, from test tasks."""
    return make(SEED, SOURCES, "train"), make(SEED, TARGETS, "test")


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks along the last axis."""
    return np.argsort(np.argsort(x, -1, kind="stable"), -1, kind="stable").astype(float)


def within(distance: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of two matrices `[targets, sources]`, one number for each target."""
    one, other = (ranks(x) - (x.shape[1] - 1) / 2 for x in (distance, truth))
    return (one * other).sum(1) / np.sqrt((one**2).sum(1) * (other**2).sum(1))


def score(distances: list[np.ndarray], earned: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    """All measures of a distance.

    Args:
        distances: `[targets, sources]`; several where it was learned with several seeds.
        earned: What the best policy of each source earns in each target.
        best: What the target's own best policy earns, `[targets]`.
    """
    each = [scored(distance, earned, best) for distance in distances]
    return {name: mean(np.stack([one[name] for one in each])) for name in each[0]}


def scored(distance: np.ndarray, earned: np.ndarray, best: np.ndarray) -> dict[str, np.ndarray]:
    """The measures of one distance, target by target."""
    found = {"rank_correlation": within(distance, best[:, None] - earned)}
    for size in LIBRARIES:
        shape = (len(best), -1, size)
        nearest = distance.reshape(shape).argmin(-1)[..., None]
        taken = np.take_along_axis(earned.reshape(shape), nearest, -1)[..., 0]  # [targets, libraries]
        found[f"regret_of_{size}"] = (best[:, None] - taken).mean(1)
        found[f"share_of_{size}"] = taken.mean(1) / best.mean()
    return found


def mean(x: np.ndarray) -> dict[str, Any]:
    """Of `[seeds, targets]`, with its 95 % interval; and of each seed."""
    low, high = bootstrap_mean(x[..., None])
    return {"mean": float(x.mean()), "ci95": [float(low[0]), float(high[0])], "seeds": x.mean(1).tolist()}


def posterior(tasks: Tasks) -> Tables:
    """Means of the exact posterior after the random steps: flat Dirichlet rows, unit normal rewards around 1."""
    count, (states, actions) = len(tasks.steps), (ENV.states, ENV.actions)
    seen, paid = np.ones((count, states, actions, states)), np.ones((count, states, actions))
    task = np.arange(count)
    for t in range(STEPS):
        state, action, after = (tasks.steps[:, t, i].astype(int) for i in (0, 1, 3))
        seen[task, state, action, after] += 1.0
        paid[task, state, action] += tasks.steps[:, t, 2]
    return Tables(seen / seen.sum(-1, keepdims=True), paid / (1.0 + visits(tasks)))


def rows_of(tasks: Tasks, told: str) -> np.ndarray:
    """What a siamese network reads of tasks, `[N, n, F]`."""
    if told == "descriptor":
        return tasks.descriptor[:, None]
    likely, paid = posterior(tasks)
    seen = np.log1p(visits(tasks)).reshape(len(paid), -1)
    rows = (ENV.states * likely - 1.0).reshape(len(paid), -1), (paid - 1.0).reshape(len(paid), -1), seen
    return np.concatenate(rows, 1).astype(np.float32)[:, None]


def visits(tasks: Tasks) -> np.ndarray:
    """How often each state and action was tried in the random steps, `[N, S, A]`."""
    times = np.zeros((len(tasks.steps), ENV.states, ENV.actions))
    state, action = (tasks.steps[..., i].astype(int) for i in range(2))
    np.add.at(times, (np.arange(len(times))[:, None], state, action), 1.0)
    return times


def lessons(seed: int) -> tuple[Tasks, np.ndarray]:
    """Training tasks, and the exact regrets between those of each block."""
    tasks = make(seed, BLOCK * BLOCKS, "train")
    blocks = [tasks.tables.some(slice(i, i + BLOCK)) for i in range(0, BLOCK * BLOCKS, BLOCK)]
    return tasks, np.stack([transfer_regret(block, block, ENV.horizon).T for block in blocks]).astype(np.float32)


def learned(
    told: str, asymmetric: bool, seed: int, taught: tuple[Tasks, np.ndarray], sources: Tasks, targets: Tasks
) -> np.ndarray:
    """Distances `[targets, sources]` of a siamese network taught by exact regrets between training tasks."""
    tasks, regret = taught
    rows = rows_of(tasks, told)
    rows = rows.reshape(BLOCKS, BLOCK, *rows.shape[1:])
    net = siamese(rows.shape[-1], 256, 64, asymmetric)
    optimiser = clipped_adam(1e-3, 10.0, float(BLOCKS * EPOCHS))

    def distances(params: Any, targets: jax.Array, sources: jax.Array) -> jax.Array:
        read = jax.vmap(net.embed, (None, 0))
        between = jax.vmap(jax.vmap(net.distance, (None, None, 0)), (None, 0, None))
        return between(params, read(params, targets), read(params, sources))

    @jax.jit
    def descend(params: Any, state: Any, rows: jax.Array, truth: jax.Array) -> tuple:
        wrong = lambda params: jnp.mean((distances(params, rows, rows) - truth) ** 2)
        loss, gradient = jax.value_and_grad(wrong)(params)
        change, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, change), state, loss

    params = net.init(jax.random.key(seed))
    state, order = optimiser.init(params), np.random.default_rng(seed)
    for epoch in range(EPOCHS):
        losses = []
        for block in order.permutation(BLOCKS):
            params, state, loss = descend(params, state, rows[block], regret[block])
            losses.append(loss)
        print(f"{told}, asymmetric {asymmetric}, seed {seed}, epoch {epoch}: {np.mean(losses):.3f}", flush=True)
    asked, known = rows_of(targets, told), rows_of(sources, told)
    parts = [jax.jit(distances)(params, asked[i : i + 100], known) for i in range(0, len(asked), 100)]
    return np.concatenate([np.asarray(part) for part in parts])


def truth(sources: Tasks, targets: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """What the best policy of each source earns in each target, `[targets, sources]`; and what is best there."""
    earned = transfer_values(sources.tables, targets.tables, ENV.horizon).T
    return earned, value_iteration(targets.tables, ENV.horizon)[0][0, :, 0]


def entries() -> dict[str, Any]:
    """Every distance that we know of."""
    sources, targets = problem()
    earned, best = truth(sources, targets)
    known = {
        "random": np.random.default_rng(0).random(earned.shape),
        "oracle": best[:, None] - earned,
        "euclidean": cdist(targets.descriptor, sources.descriptor),
        "bisimulation": model_distance(sources.tables, targets.tables, ENV.horizon).T,
        "posterior": transfer_regret(posterior(sources), posterior(targets), ENV.horizon).T,
    }
    scores = {name: score([distance], earned, best) for name, distance in known.items()}
    kinds = [(told, form) for told in ("descriptor", "steps") for form in ("symmetric", "asymmetric")]
    found: dict[tuple[str, str], list[np.ndarray]] = {kind: [] for kind in kinds}
    for seed in range(SEEDS):
        taught = lessons(seed)
        for told, form in kinds:
            found[told, form].append(learned(told, form == "asymmetric", seed, taught, sources, targets))
    scores |= {f"siamese {told} {form}": score(found[told, form], earned, best) for told, form in kinds}
    return {"best": float(best.mean()), "pairs": BLOCKS * BLOCK * (BLOCK - 1), "entries": scores}


def main() -> None:
    """All our entries; or the tasks, or the score of somebody else's distances."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("make", "score"))
    parser.add_argument("file", nargs="?", help="tasks to be written (.npz), or distances to be read (.npy)")
    given = parser.parse_args()
    if given.what and not given.file:
        parser.error(f"{given.what} what? name a file")
    if given.what is None:
        write("similarity", entries(), "", "similarity")
        return
    sources, targets = problem()
    if given.what == "make":
        sides = {"sources": sources, "targets": targets}
        arrays = {f"{name}_{field}": x for name, side in sides.items() for field, x in columns(side).items()}
        np.savez_compressed(given.file, **arrays)
        return
    distance = np.load(given.file, allow_pickle=False)
    if distance.shape != (TARGETS, SOURCES):
        parser.error(f"{given.file} holds an array of shape {distance.shape}; it must be {(TARGETS, SOURCES)}")
    print(json.dumps(score([distance], *truth(sources, targets)), indent=1))


def columns(tasks: Tasks) -> dict[str, np.ndarray]:
    """Tasks as named arrays."""
    return {**tasks.tables._asdict(), "descriptor": tasks.descriptor, "steps": tasks.steps}


if __name__ == "__main__":
    main()
