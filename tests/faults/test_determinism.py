"""The same seed is the same run, whatever is logged, however many seeds go with it, on however many devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import lab
import numpy as np
import pytest

import adaptax as ax
from adaptax.checkpoint import to_arrays
from adaptax.core.trainer import initial_state, lived
from adaptax.progress import Lines

RL2 = ax.RL2(tasks=8, minibatches=1, hidden=8)  # one minibatch: every device has a part of it
DEVICES = (1, 2, 4, 8)


@pytest.mark.fault("F31")
def test_ten_seeds_are_ten_runs():
    learner = RL2.bind(lab.BANDIT.spec(), 3)

    @jax.jit
    def first(seed):
        state = initial_state(learner, lab.BANDIT, jax.random.key(seed))
        return lived(learner, lab.BANDIT, state)[1].data.action, state.meta.params

    found = [first(seed) for seed in range(10)]
    assert len({np.asarray(actions).tobytes() for actions, _ in found}) == 10
    assert len({np.asarray(params["policy"]["weight"]).tobytes() for _, params in found}) == 10


@pytest.mark.fault("F34")
@pytest.mark.parametrize(
    "watched",
    [
        {"log_every": 1},
        {"validate_every": 1},
        {"checkpoint_every": 1},
        {"log_every": 5, "validate_every": 4, "progress": Lines(seconds=0.0)},
    ],
)
def test_what_is_watched_changes_nothing(tmp_path, watched):
    run = ax.train(lab.RL2, lab.BANDIT, out=tmp_path / "run", **(lab.STEPS | {"progress": None} | watched))
    ours, theirs = (to_arrays(r.saved.states) for r in (run, lab.whole()))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.fault("F35")
@pytest.mark.full
def test_eight_seeds_at_once_are_eight_runs(record_property):
    together = ax.train(RL2, lab.BANDIT, meta_steps=10, seeds=8, progress=None)
    worst = 0.0
    for seed in range(8):
        alone = ax.train(RL2, lab.BANDIT, meta_steps=10, seed=seed, progress=None)
        mine = jax.tree.map(lambda x: x[seed], together.saved.states.meta.params)  # noqa: B023
        worst = max(worst, difference(mine, jax.tree.map(lambda x: x[0], alone.saved.states.meta.params)))
    record_property("largest difference of a parameter after 10 updates", worst)
    assert worst <= 1e-5


@pytest.mark.fault("F33")
@pytest.mark.full
@pytest.mark.parametrize(("kind", "steps"), [("float32", 1), ("float64", 10)])
def test_any_number_of_devices_learns_the_same(kind, steps, record_property):
    flags = "--xla_force_host_platform_device_count=8"
    words = [sys.executable, __file__, kind, str(steps)]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_X64": str(kind == "float64")}
    process = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    record_property(f"largest difference on {DEVICES[1:]} devices after {steps} update(s) in {kind}", found)
    assert len(found) == 3 and max(found) <= 1e-5


def difference(mine, other) -> float:
    """The largest, relative to the size of the largest number of its array."""
    pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True)
    return max(float(jnp.abs(a - b).max() / jnp.maximum(jnp.abs(b).max(), 1e-3)) for a, b in pairs if a.size)


def main(kind: str, steps: str) -> None:
    """Prints the largest differences on several devices from one device."""
    with jax.numpy_dtype_promotion("standard"):
        runs = [ax.train(RL2, lab.BANDIT, meta_steps=int(steps), devices=n, progress=None) for n in DEVICES]
    params = [jax.device_get(run.saved.states.meta.params) for run in runs]
    assert params[0]["policy"]["weight"].dtype == kind
    print(json.dumps([difference(one, params[0]) for one in params[1:]]))


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent)]
    main(*sys.argv[1:])
