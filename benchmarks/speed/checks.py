"""What is measured without a rival implementation: tracing, seeds, Python's share, import, host loop."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.adapters.gymnasium import from_gymnasium
from adaptax.core.host import host_draw, host_lifetimes
from adaptax.core.learner import Learner, traced
from adaptax.core.lifetime import advance
from adaptax.core.trainer import births, init_states, run_chunk
from adaptax.core.types import Lifetime, PRNGKey, PyTree
from adaptax.envs.cartpole import CartPole
from adaptax.envs.point import PointNavigation
from adaptax.registry import LEARNERS
from adaptax.runs import training
from adaptax.testing.learners import Tally, Watched, small
from speed import ours
from speed.timing import Result, Seconds, take_turns, timed


def count_traces(learner: Learner) -> tuple[int, int]:
    """How often the meta-step is traced: for the first chunk, and for three more of other lengths and values."""
    env = PointNavigation(horizon=5)
    tally = Tally()
    bound = small(learner).bind(env.spec(), 100)
    env = Watched(env, jnp.zeros(bound.bound.descriptor), tally)
    learners = ours.many(bound, 1)
    states = init_states(learners, env, jax.random.split(jax.random.key(0), 1))
    before = tally.count
    counts = []
    for steps in (1, 2, 3, 1):
        states, _ = run_chunk((learners, env, None), states, jnp.asarray(steps, jnp.int32))
        counts.append(tally.count - before)
        learners = jax.tree.map(
            lambda x: x * 0.9 if eqx.is_array(x) else x, learners
        )  # other float hyper-parameters: still no new trace
    return counts[0], counts[-1] - counts[0]


def traces(**_: object) -> Result:
    """Every registered learner on short lives."""
    found = {name: count_traces(make()) for name, make in LEARNERS.items()}
    rows = {name: {"first_chunk": first, "later_chunks": later} for name, (first, later) in found.items()}
    return {"learners": rows, "pass": set(found.values()) == {(1, 0)}}


def ten_seeds(rounds: int, **_: object) -> Result:
    """Ten seeds in one program against ten runs of one (MAML with a quarter of the tasks, to be quick)."""
    rows = {}
    for name, (learner, env), meta_steps in (("rl2", ours.rl2(), 2), ("maml", ours.maml(tasks=10), 1)):
        one = ours.chunk_runner(learner, env, meta_steps)
        ten = ours.chunk_runner(learner, env, meta_steps, seeds=10)

        def ten_runs(one=one) -> None:
            for _ in range(10):
                one()

        apart, together, ratio = take_turns(lambda run=ten_runs: timed(run), lambda run=ten: timed(run), rounds)
        rows[name] = {"ten_runs_s": apart, "ten_seeds_s": together, "ratio": ratio}
    return rows | {"bar": "ratio <= 1.2", "pass": all(row["ratio"] <= 1.2 for row in rows.values())}


class Inside:
    """Collects the seconds that are spent inside something, each with the time at which it ended."""

    def __init__(self) -> None:
        self.spans: list[tuple[Seconds, Seconds]] = []

    def iterate(self, make):
        """Wraps a function that makes an iterator; counts the time its consumer waits for it."""

        def wrapped(*arguments, **named) -> Iterator:
            stream = make(*arguments, **named)
            while True:
                start = time.perf_counter()
                item = next(stream, None)
                if item is None:
                    return
                self.spans.append((time.perf_counter() - start, time.perf_counter()))
                yield item

        return wrapped

    def call(self, function):
        """Wraps a function."""

        def wrapped(*arguments, **named):
            start = time.perf_counter()
            result = function(*arguments, **named)
            self.spans.append((time.perf_counter() - start, time.perf_counter()))
            return result

        return wrapped

    def since(self, begin: float) -> Seconds:
        """Seconds spent inside from `begin` on."""
        return sum(seconds for seconds, end in self.spans if end > begin)


def outside(meta_steps: int = 400, **_: object) -> Result:
    """The share of a training with `adaptax.train`, folder and all, that is not spent in compiled chunks.

    Counted from the end of the first validation, when all is compiled. Validations are compiled programs of their own
    and are given apart.
    """
    rows = {}
    for name, (learner, env), steps in (("rl2", ours.rl2(), meta_steps), ("maml", ours.maml(), meta_steps // 4)):
        inside, validating = Inside(), Inside()
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(training, "chunks", inside.iterate(training.chunks)),
            mock.patch.object(training, "validate", validating.call(training.validate)),
        ):
            training.train(learner, env, meta_steps=steps, out=Path(folder) / "run")
            end = time.perf_counter()
        begin = validating.spans[0][1]
        total, chunked, validated = end - begin, inside.since(begin), validating.since(begin)
        shares = {"python_share": (total - chunked - validated) / total, "validation_share": validated / total}
        rows[name] = {"seconds": total} | shares
    return rows | {"bar": "python_share < 0.03", "pass": all(row["python_share"] < 0.03 for row in rows.values())}


def import_time(rounds: int, **_: object) -> Result:
    """Seconds of `import adaptax` in fresh interpreters, and what of it is the import of jax."""

    def fresh(module: str) -> Seconds:
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return float(subprocess.check_output([sys.executable, "-c", code], text=True))

    jax_alone, whole, _ratio = take_turns(lambda: fresh("jax"), lambda: fresh("adaptax"), rounds)
    return {"import_adaptax_s": whole, "import_jax_s": jax_alone, "bar": "< 1.5", "pass": whole < 1.5}


def bare_loop(steps: int) -> None:
    """What everybody's first Gymnasium loop does."""
    import gymnasium

    env = gymnasium.make("CartPole-v1")
    actions = np.random.default_rng(0).integers(0, 2, steps)
    env.reset(seed=0)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(int(action))
        if terminated or truncated:
            env.reset()


def live_compiled(learner: Learner, env: CartPole, meta: PyTree) -> None:
    """The lives of one meta-step."""
    jax.block_until_ready(_live(learner, env, meta, jax.random.key(1)))


@eqx.filter_jit
def _live(learner: Learner, env: CartPole, meta: PyTree, key: PRNGKey) -> Lifetime:
    live = lambda life: advance(learner, env, meta, life, learner.schedule())[1]
    return jax.vmap(live)(births(learner, env, meta, None, key))


def host(rounds: int, **_: object) -> Result:
    """Steps a second of RL2's lives in Gymnasium's CartPole, relative to a bare loop with ready-made actions.

    And those of the same lives in our CartPole, compiled, relative to the host's.
    """
    rows, steps = {}, 100
    env = from_gymnasium("CartPole-v1", episode_steps=steps, episodes=1)
    for tasks in (1, 16, 64):
        learner = traced(ours.RL2(tasks=tasks).bind(env.spec()))
        meta = learner.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(1), tasks)
        drawn = host_draw(env, "train", keys)

        def live(learner=learner, meta=meta, drawn=drawn, keys=keys) -> None:
            host_lifetimes(learner, env, meta, drawn, keys, learner.schedule(), explore=True)

        number = steps * tasks
        mine, bare, ratio = take_turns(
            lambda run=live: timed(run), lambda n=number: timed(lambda: bare_loop(n)), rounds
        )
        rows[f"tasks_{tasks}"] = {"steps_per_s": number / mine, "bare_steps_per_s": number / bare, "ratio": ratio}
        both = lambda learner=learner, meta=meta: live_compiled(learner, CartPole(horizon=steps, tries=1), meta)
        _slow, fast, ratio = take_turns(lambda run=live: timed(run), lambda run=both: timed(run), rounds)
        rows[f"tasks_{tasks}"] |= {"compiled_steps_per_s": number / fast, "compiled_over_host": 1 / ratio}
    return rows
