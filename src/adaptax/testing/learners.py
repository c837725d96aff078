"""What every learner must keep to, checked on tiny lives. Each check raises AssertionError with a sentence.

`bench(learner, env)` trains for three meta-steps once; the checks share that, because compiling is what costs.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from adaptax import checkpoint
from adaptax.adapters.on_host import OnHost
from adaptax.adapters.wrapper import Wrapper
from adaptax.core.env import Environment, TaskSplit
from adaptax.core.host import host_lifetimes
from adaptax.core.learner import AnyLearner, Learner, traced
from adaptax.core.lifetime import Life, born, live_phase, recorded, replay
from adaptax.core.trainer import TrainState, draw, init_states, run_chunk
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PRNGKeys, PyTree, Task
from adaptax.testing.compare import arrays, require, require_finite, require_same

META_STEPS = 3
SMALL = {"tasks": 4, "copies": 2, "hidden": 8, "minibatches": 2, "epochs": 2, "inner_steps": 2}
SMALL |= {"phases": 2, "warm_up": 4, "replay": 64, "batch": 4, "lives": 8, "outer_updates": 2, "outer_tasks": 4}
SMALL |= {"trunk": 8, "recurrent": 8, "latent": 4, "starts": 2, "search_steps": 2, "library": 8, "remembered": 16}
SMALL |= {"members": 2}


def small(learner: AnyLearner) -> AnyLearner:
    """The learner with its common size fields as small as they may be, for tests."""
    names = {field.name for field in dataclasses.fields(learner)}
    return dataclasses.replace(learner, **{name: size for name, size in SMALL.items() if name in names})


class Tally:
    """Counts how often a function was traced."""

    count = 0


class Posing(NamedTuple):
    """A task, and another of the same split for which it may be made to pass."""

    lived: Task
    other: Task


class Watched(Wrapper, Environment):
    """An environment that behaves the same, counts how often it is traced, and can describe another task than is lived.

    `swapped` is an array, so that a run with swapped descriptors is the very same program with another input.
    """

    env: Environment
    swapped: Bool[Array, ""]
    tally: Tally = eqx.field(static=True)

    @property
    def tasks(self) -> TaskSplit:
        """Training tasks, each with another one beside it."""
        draw = self.env.tasks.train
        posing = lambda key: Posing(draw(key), draw(jax.random.fold_in(key, 1)))
        return TaskSplit(posing, posing, posing, None, "iid")

    def reset(self, task: Posing, key: PRNGKey) -> tuple[PyTree, Array]:
        """A new episode."""
        return self.env.reset(task.lived, key)

    def step(
        self, task: Posing, state: PyTree, action: Array, key: PRNGKey
    ) -> tuple[PyTree, Array, Array, Array, Array]:
        """One step."""
        return self.env.step(task.lived, state, action, key)

    def describe(self, task: Posing) -> Float[Array, " F"]:
        """The features, swapped or not; called once whenever a meta-step is traced."""
        self.tally.count += 1
        return jnp.where(self.swapped, self.env.describe(task.other), self.env.describe(task.lived))


class Bench(NamedTuple):
    """A learner at work on an environment: everything that the checks look at."""

    learner: Learner  # float fields traced, leading axis of one seed
    env: Watched
    start: TrainState  # before the first meta-step, two seeds
    end: TrainState  # after META_STEPS, the first seed
    metrics: Metrics
    traces: int  # of the first call


def bench(learner: Learner, env: Environment) -> Bench:
    """Trains `learner` for three meta-steps.

    Args:
        learner: Not bound, and small: for example `small(RL2())`.
        env: A compiled environment with short episodes.
    """
    watched = Watched(env, jnp.asarray(False), Tally())
    learner = over_seeds(traced(learner.bind(env.spec(), META_STEPS)), 1)
    start = init_states(over_seeds(learner, 2), watched, jax.random.split(jax.random.key(0), 2))
    before = watched.tally.count
    end, metrics = train(learner, watched, seed_of(start, 0))
    return Bench(learner, watched, start, end, metrics, watched.tally.count - before)


def over_seeds(tree: PyTree, number: int) -> PyTree:
    """The arrays of a learner along a leading axis of equal seeds."""
    first = lambda x: x[0] if number > 1 else x
    return jax.tree.map(lambda x: jnp.stack([first(x)] * number) if eqx.is_array(x) else x, tree)


def seed_of(states: TrainState, seed: int) -> TrainState:
    """One seed, its axis kept."""
    return jax.tree.map(lambda x: x[seed : seed + 1], states)


def one(tree: PyTree) -> PyTree:
    """The first seed, without its axis."""
    return jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, tree)


def train(
    learner: Learner, env: Environment, states: TrainState, meta_steps: int = META_STEPS, devices: Mesh | None = None
) -> tuple[TrainState, Metrics]:
    """The trainer's own compiled chunk, and mean metrics; it consumes its input, so it gets a copy."""
    states = jax.tree.map(jnp.copy, states)
    states, metrics = run_chunk((learner, env, devices), states, jnp.asarray(meta_steps, jnp.int32))
    return states, jax.tree.map(lambda x: x[:, :meta_steps].mean(1), metrics)


def check_learner(learner: Learner, env: Environment) -> None:
    """Runs every check; a learner that passes can be trained, compared, stored and resumed by everything here.

    Args:
        learner: Not bound, and small: for example `small(RL2())`.
        env: A compiled environment with short episodes.

    Raises:
        AssertionError: the first broken rule, in words.
    """
    tested = bench(learner, env)
    check_finite(tested)
    check_traces(tested)
    check_trained(tested)
    check_checkpoint(tested)
    check_privilege(tested)
    check_replay(tested)
    check_host(tested)
    check_seeds_and_devices(tested)


def check_finite(tested: Bench) -> None:
    """The outer state and all metrics are finite, and their shapes stay the same."""
    require_finite(tested.end.meta, "the outer state after three meta-steps")
    require_finite(tested.metrics, "a metric")
    shapes = [{path: (x.shape, x.dtype) for path, x in arrays(s.meta).items()} for s in (tested.start, tested.end)]
    shapes[0] = {path: ((1, *shape[1:]), dtype) for path, (shape, dtype) in shapes[0].items()}
    require(shapes[0] == shapes[1], "update returns an outer state of another structure, shape or type than init")
    bad = [name for name, value in tested.metrics.items() if value.shape != (1,)]
    require(not bad, f"metrics must be single numbers; {', '.join(bad)} are not")


def check_traces(tested: Bench) -> None:
    """The meta-step is traced exactly once: neither later steps nor other float fields, nor a longer training."""
    require(tested.traces == 1, f"the first meta-steps traced it {tested.traces} times")
    before = tested.env.tally.count
    other = jax.tree.map(lambda x: 0.5 * x if eqx.is_inexact_array(x) else x, tested.learner)
    other = eqx.tree_at(lambda learner: learner.meta_steps, other, 2.0 * tested.learner.meta_steps)
    train(other, tested.env, tested.end, 1)
    start, end = (_weak(state) for state in (tested.start, tested.end))
    weak = ", ".join(sorted(start ^ end))
    require(
        tested.env.tally.count == before,
        "the meta-step was traced again: "
        + (f"weakly typed before or after: {weak}; give them a dtype" if weak else "is a field used as a number?"),
    )


def _weak(tree: PyTree) -> set[str]:
    """Paths of the leaves whose type is weak, as of `jnp.full(3, 0.0)`."""
    shapes = jax.tree_util.tree_leaves_with_path(jax.eval_shape(lambda x: x, tree))
    return {jax.tree_util.keystr(path) for path, x in shapes if x.weak_type}


def check_trained(tested: Bench) -> None:
    """Three meta-steps move every leaf that `trainable` names."""
    learner = one(tested.learner)
    before, after = (arrays(learner.trainable(one(state.meta))) for state in (tested.start, tested.end))
    stuck = [path for path, x in before.items() if x.size and np.array_equal(x, after[path])]
    require(not stuck, f"trainable leaves that training does not move: {', '.join(stuck[:4])}")


def check_checkpoint(tested: Bench) -> None:
    """A state that was saved and loaded is bit for bit the same, and so is training that goes on from it."""
    early, _ = train(tested.learner, tested.env, seed_of(tested.start, 0), 1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "1", early, 1)
        loaded = checkpoint.load(Path(folder) / "1", early)
    require_same(early, loaded, "a saved and loaded state differs")
    resumed, _ = train(tested.learner, tested.env, loaded, META_STEPS - 1)
    require_same(tested.end, resumed, "interrupted and resumed training differs from training in one go")


def check_privilege(tested: Bench) -> None:
    """Descriptors of other tasks change nothing for a learner that may not see them.

    At privilege `never` neither actions nor updates may change, at `training` only updates may.
    """
    learner = one(tested.learner)
    if learner.privileged == "always":
        return
    swapped = Watched(tested.env.env, jnp.asarray(True), tested.env.tally)
    true, false = (witness(learner, env, one(tested.end.meta), jax.random.key(1)) for env in (tested.env, swapped))
    require_same(true.lifetimes.data, false.lifetimes.data, "the descriptor leaks into acting")
    if learner.privileged == "never":
        end, _ = train(tested.learner, swapped, seed_of(tested.start, 0))
        require_same(tested.end.meta, end.meta, "the descriptor leaks into the update")


class Witness(NamedTuple):
    """Lives with their inner states: as they acted, and as `replay` derives them again."""

    tasks: Task
    keys: PRNGKeys
    lifetimes: Lifetime
    acted: PyTree  # [B, K, ...]
    replayed: PyTree  # [B, K, ...]


@eqx.filter_jit
def witness(learner: Learner, env: Environment, meta: PyTree, key: PRNGKey) -> Witness:
    """B newborn lives under one outer state, with their inner states before each phase."""
    key_draw, key_propose = jax.random.split(key)
    tasks, keys = draw(learner, env, key_draw)
    proposals = learner.propose(meta, key_propose, learner.tasks)
    metas, axis = (meta, None) if proposals is None else (proposals, 0)
    schedule = learner.schedule()

    def phase(meta: PyTree, life: Life) -> tuple[Life, tuple]:
        inner = life.agent.inner
        life, data = live_phase(learner, env, meta, life, schedule, explore=True)
        return life, (inner, data)

    def live(meta: PyTree, task: Task, key: PRNGKey) -> tuple[Lifetime, PyTree, PyTree]:
        start = born(learner, env, meta, task, key, schedule.copies)
        end, (acted, data) = jax.lax.scan(lambda life, _: phase(meta, life), start, length=schedule.phases)
        lifetime = recorded(learner, start, end, data)
        return lifetime, acted, replay(learner, meta, lifetime, lambda inner, _: inner)

    return Witness(tasks, keys, *jax.vmap(live, (axis, 0, 0))(metas, tasks, keys))


def check_replay(tested: Bench) -> None:
    """`replay` derives the very inner states that acted: what meta-gradients are taken of is what happened.

    Floats may differ in their last digits, since the compiler may fuse and so round the two otherwise. That nothing
    else differs shows in float64, where the same comparison of `witness` holds to 1e-12.
    """
    lived = witness(one(tested.learner), tested.env, one(tested.end.meta), jax.random.key(1))
    message = "replay derives other inner states than those that acted"
    require_same(lived.acted, lived.replayed, message, relative=1e-5, absolute=1e-6)
    require_finite(lived.lifetimes.data, "the record of a life")


def check_host(tested: Bench) -> None:
    """The Python loop around a simulator lives the same lives as the compiled loop."""
    learner, meta = one(tested.learner), one(tested.end.meta)
    if learner.lifespan > 1 or learner.propose(meta, jax.random.key(0), learner.tasks) is not None:
        return  # the host loop has no persistent lives and no populations
    lived = witness(learner, tested.env, meta, jax.random.key(1))
    tasks = jax.tree.map(np.asarray, lived.tasks)
    on_host = host_lifetimes(learner, OnHost(tested.env), meta, tasks, lived.keys, learner.schedule(), explore=True)
    require_same(lived.lifetimes, on_host, "the host loop lives other lives than the compiled one", 1e-4, 1e-5)


def check_seeds_and_devices(tested: Bench) -> None:
    """Two seeds in one program, the tasks of each spread over two devices, equal single runs on one device.

    Needs two devices; on a CPU: `XLA_FLAGS=--xla_force_host_platform_device_count=2`.
    """
    require(
        len(jax.devices()) >= 2,
        "this check needs two devices: set XLA_FLAGS=--xla_force_host_platform_device_count=2 before jax is imported",
    )
    mesh = Mesh(np.asarray(jax.devices()[:2]), ("tasks",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    states = jax.device_put(jax.tree.map(jnp.copy, tested.start), everywhere)
    arguments = ((over_seeds(tested.learner, 2), tested.env, mesh), states, jnp.asarray(META_STEPS, jnp.int32))
    program = run_chunk.lower(*arguments).compile()
    require(communicates(program), "the tasks are not spread over the devices: the program has no communication")
    spread, _ = program(*arguments)
    other, _ = train(tested.learner, tested.env, seed_of(tested.start, 1))
    for seed, alone in enumerate((tested.end, other)):
        require_same(
            alone.meta,
            seed_of(spread, seed).meta,
            f"seed {seed} of two seeds on two devices differs from a run of its own on one device",
            relative=1e-3,
            absolute=1e-4,
        )


def communicates(program: Any) -> bool:
    """Whether the devices exchange anything; a program that only repeats itself on each of them does not."""
    return any(word in program.compiled.as_text() for word in ("all-reduce", "all-gather"))
